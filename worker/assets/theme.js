// Light, dark, or as the system has it. Not a module, so that it runs before the first paint.
"use strict";

(() => {
  const THEMES = ["auto", "light", "dark"];
  const NAMES = { auto: "Auto", light: "Light", dark: "Dark" };
  const root = document.documentElement;

  // A browser may refuse storage to a page; the choice then lasts until the page is left.
  const stored = () => {
    try {
      return localStorage.getItem("tocsin-theme");
    } catch {
      return null;
    }
  };
  const store = (theme) => {
    try {
      localStorage.setItem("tocsin-theme", theme);
    } catch {
      // Nothing to do.
    }
  };

  let theme = THEMES.includes(stored()) ? stored() : "auto";

  const changed = () => root.dispatchEvent(new CustomEvent("themechange"));

  const show = () => {
    root.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) {
      document.getElementById("theme-text").textContent = NAMES[theme];
      const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      button.setAttribute("aria-label", `Colours: ${NAMES[theme]}. Change to ${NAMES[next]}.`);
    }
  };

  show();
  document.addEventListener("DOMContentLoaded", () => {
    show();
    document.getElementById("theme").addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      store(theme);
      show();
      changed();
    });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
})();
