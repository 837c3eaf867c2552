"use strict";
window.heard = [];
window.addEventListener("error", (event) => window.heard.push(`error: ${event.message} (${event.lineno})`), true);
window.addEventListener("unhandledrejection", (event) => window.heard.push(`rejection: ${event.reason}`));
for (const level of ["error", "warn"]) {
  console[level] = (...words) => window.heard.push(`console.${level}: ${words.join(" ")}`);
}
