"use strict";
// Values under the pointer and the arrow keys, series that can be left out, one model at a time, light and dark. The page is complete
// without it.

const remembered = {
  get(key) { try { return localStorage.getItem(key); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(key, value); } catch { /* a file may have no storage */ } },
};

// Light, dark, or what the system says.
{
  const themes = ["system", "light", "dark"];
  const button = document.getElementById("theme");
  const show = (theme) => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
    remembered.set("paceline-theme", theme);
  };
  let theme = remembered.get("paceline-theme");
  if (!themes.includes(theme)) theme = "system";
  show(theme);
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    show(theme);
  });
}

// One model at a time.
{
  const choice = document.getElementById("models");
  if (choice) {
    const inputs = [...choice.querySelectorAll("input")];
    const blocks = [...document.querySelectorAll(".block[data-model]")];
    const show = (model) => {
      for (const block of blocks) block.hidden = model !== "all" && block.dataset.model !== model;
      for (const input of inputs) input.checked = input.value === model;
      for (const section of document.querySelectorAll("main > section")) {
        const own = [...section.querySelectorAll(".block")];
        const empty = own.length > 0 && own.every((block) => block.hidden);
        let note = section.querySelector(".absent");
        if (empty && !note) {
          note = document.createElement("p");
          note.className = "absent";
          section.append(note);
        }
        if (note) {
          note.hidden = !empty;
          note.textContent = `${model} was not measured here.`;
        }
      }
    };
    choice.hidden = false;
    choice.addEventListener("change", (event) => show(event.target.value));
    show(inputs.some((input) => input.value === "mlp") ? "mlp" : inputs[1].value);
  }
}

// Plots.
const tip = document.getElementById("tip");

function plot(figure) {
  const svg = figure.querySelector("svg.plot");
  const series = [...svg.querySelectorAll(".series")];
  const buttons = [...figure.querySelectorAll(".legend button")];
  const guide = document.createElementNS("http://www.w3.org/2000/svg", "path");
  guide.setAttribute("class", "guide");
  guide.setAttribute("visibility", "hidden");
  svg.querySelector(".axes").after(guide);
  let column = -1;

  // Marks that are shown, by their x.
  const columns = () => {
    const found = new Map();
    for (const group of series) {
      if (group.classList.contains("off")) continue;
      for (const mark of group.querySelectorAll(".mark")) {
        const [x, y] = mark.dataset.at.split(",").map(Number);
        if (!found.has(x)) found.set(x, []);
        found.get(x).push({ mark, x, y, name: group.dataset.name });
      }
    }
    return [...found.values()].sort((a, b) => a[0].x - b[0].x);
  };

  const hide = () => {
    column = -1;
    tip.hidden = true;
    guide.setAttribute("visibility", "hidden");
    for (const mark of svg.querySelectorAll(".mark.on")) mark.classList.remove("on");
  };

  const show = (index, at) => {
    const all = columns();
    hide();
    if (all.length === 0) return;
    column = Math.max(0, Math.min(all.length - 1, index));
    const points = all[column];
    const box = svg.viewBox.baseVal;
    guide.setAttribute("d", `M${points[0].x} 8V${box.height - 46}`);
    guide.setAttribute("visibility", "visible");
    tip.replaceChildren();
    const head = document.createElement("div");
    const title = document.createElement("b");
    title.textContent = `${figure.dataset.xLabel}: ${points[0].mark.dataset.x}`;
    head.append(title);
    tip.append(head);
    for (const { mark, name } of points) {
      mark.classList.add("on");
      const line = document.createElement("div");
      const label = document.createElement("b");
      const value = document.createElement("span");
      label.textContent = name;
      value.textContent = mark.dataset.y + (mark.dataset.interval ? ` (${mark.dataset.interval})` : "");
      line.append(label, value);
      tip.append(line);
    }
    const unit = document.createElement("div");
    unit.textContent = figure.dataset.yLabel;
    tip.append(unit);
    tip.hidden = false;
    const frame = svg.getBoundingClientRect();
    const x = at ? at.x : frame.left + (points[0].x / box.width) * frame.width;
    const y = at ? at.y : frame.top + 20;
    const left = x + 14 + tip.offsetWidth > innerWidth ? x - 14 - tip.offsetWidth : x + 14;
    tip.style.left = `${Math.max(8, Math.min(left, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${Math.max(8, Math.min(y + 14, innerHeight - tip.offsetHeight - 8))}px`;
  };

  const nearest = (event) => {
    const frame = svg.getBoundingClientRect();
    const x = ((event.clientX - frame.left) / frame.width) * svg.viewBox.baseVal.width;
    const distance = (points) => Math.abs(points[0].x - x);
    const all = columns();
    return all.reduce((best, points, index) => (distance(points) < distance(all[best]) ? index : best), 0);
  };

  svg.addEventListener("pointermove", (event) => show(nearest(event), { x: event.clientX, y: event.clientY }));
  svg.addEventListener("pointerdown", (event) => show(nearest(event), { x: event.clientX, y: event.clientY }));
  svg.addEventListener("pointerleave", hide);
  svg.setAttribute("tabindex", "0");
  svg.addEventListener("keydown", (event) => {
    const last = columns().length - 1;
    const moves = { ArrowLeft: column - 1, ArrowRight: column + 1, Home: 0, End: last };
    if (event.key === "Escape") hide();
    else if (event.key in moves) {
      event.preventDefault();
      show(moves[event.key]);
    }
  });
  svg.addEventListener("blur", hide);
  for (const button of buttons) {
    button.disabled = false;
    button.addEventListener("click", () => {
      const pressed = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(pressed));
      series[button.dataset.series].classList.toggle("off", !pressed);
    });
  }
}

for (const figure of document.querySelectorAll("figure")) plot(figure);
document.documentElement.dataset.ready = "true";
