"use strict";
{
  const problems = [...window.heard];
  const expect = (what, is) => { if (!is) problems.push(what); };
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const shown = (element) => element.getClientRects().length > 0;
  const press = (element, key) => element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));

  try {
    expect("the page's script ran to its end", document.documentElement.dataset.ready === "true");
    expect("the page is no wider than the window", document.documentElement.scrollWidth <= innerWidth);
    const first = document.querySelector("main > section");
    expect("the recommendation comes first", first && first.id === "recommendation");

    const plots = all("svg.plot");
    expect(`there are plots, not ${plots.length}`, plots.length >= 8);
    for (const plot of plots) {
      const id = plot.getAttribute("aria-labelledby");
      expect(`${id} has marks`, all(".mark", plot).length > 0);
      expect(`${id} is described`, plot.querySelector("title")?.textContent && plot.querySelector("desc")?.textContent);
      expect(`${id} has its data as a table`, all("tbody tr", plot.closest("figure")).length > 0);
      expect(`${id} has no numbers that are none`, !/NaN|Infinity|undefined/.test(plot.outerHTML));
    }

    // Light and dark.
    const theme = document.getElementById("theme");
    const background = () => getComputedStyle(document.body).backgroundColor;
    const luminance = () => background().match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    expect("the page follows the system", dark === luminance() < 200);
    const seen = [];
    for (let i = 0; i < 3; i += 1) {
      theme.click();
      seen.push(`${document.documentElement.dataset.theme ?? "system"} ${luminance() < 200 ? "dark" : "light"}`);
    }
    const wanted = `light light, dark dark, system ${dark ? "dark" : "light"}`;
    expect(`the theme goes ${wanted}, not ${seen.join(", ")}`, seen.join(", ") === wanted);

    // One model at a time.
    const models = all("#models input");
    expect("there are models to choose from", models.length > 2);
    const blocks = all(".block[data-model]");
    const choose = (input) => { input.checked = true; input.dispatchEvent(new Event("change", { bubbles: true })); };
    for (const input of models.slice(1)) {
      choose(input);
      expect(`only ${input.value} is shown`, blocks.every((block) => shown(block) === (block.dataset.model === input.value)));
    }
    choose(models[0]);
    expect("all models are shown", blocks.every(shown));

    // Series, values under the pointer, values under the arrow keys.
    const tip = document.getElementById("tip");
    for (const figure of all("figure")) {
      const svg = figure.querySelector("svg.plot");
      const name = figure.querySelector("figcaption").textContent;
      const buttons = all(".legend button", figure);
      const series = all(".series", svg);
      expect(`${name}: a button for each series`, buttons.length === series.length && !buttons.some((b) => b.disabled));
      buttons[0].click();
      expect(`${name}: a series can be left out`, !shown(series[0]) && buttons[0].getAttribute("aria-pressed") === "false");
      buttons[0].click();
      expect(`${name}: and come back`, shown(series[0]) && buttons[0].getAttribute("aria-pressed") === "true");
      svg.scrollIntoView();
      const frame = svg.getBoundingClientRect();
      const at = { clientX: frame.left + frame.width * 0.95, clientY: frame.top + frame.height / 2, bubbles: true };
      svg.dispatchEvent(new PointerEvent("pointermove", at));
      expect(`${name}: values under the pointer`, !tip.hidden && /\d/.test(tip.textContent));
      const box = tip.getBoundingClientRect();
      expect(`${name}: the values are inside the window`, box.left >= 0 && box.right <= innerWidth + 1);
      svg.dispatchEvent(new PointerEvent("pointerleave"));
      expect(`${name}: values go with the pointer`, tip.hidden);
      press(svg, "Home");
      const begin = tip.textContent;
      press(svg, "ArrowRight");
      expect(`${name}: arrow keys move`, !tip.hidden && tip.textContent !== begin);
      press(svg, "Escape");
      expect(`${name}: escape hides the values`, tip.hidden);
      expect(`${name}: can be reached by keyboard`, svg.tabIndex === 0);
    }
    for (const link of all("nav a")) {
      expect(`${link.hash} leads somewhere`, document.getElementById(link.hash.slice(1)));
    }
    problems.push(...window.heard.filter((words) => !problems.includes(words)));
  } catch (error) {
    problems.push(`the check itself failed: ${error.stack}`);
  }
  const seen = `${all("svg.plot").length} plots, ${all("table").length} tables, ${all("#models input").length - 1} models`;
  const verdict = document.createElement("pre");
  verdict.id = "verdict";
  verdict.textContent = JSON.stringify({ seen, problems });
  document.body.append(verdict);
}
