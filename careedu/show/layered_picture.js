// Pictures in layers (image, map, outline) side by side, and the controls of their looks, which the page answers alone:
// a move of opacity, wipe or outline sets a CSS variable and asks no kernel. It also writes ipywidgets' slider names where
// a screen reader looks for them. `layered_picture.py` beside this file says what the model holds.

const ROOT = ".careedu-widget";

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}

// Told apart by what they hold: an image or a map has a source, an outline is SVG, and words stand in for an image.
function makeLayer({ kind, side }) {
  const element = make(kind === "image" || kind === "map" ? "img" : "div", `careedu-${kind}`);
  if (element.tagName === "IMG") {
    element.alt = "";
    element.decoding = "sync";
  }
  return side ? make("div", `careedu-side careedu-side-${side}`, element, make("b", "careedu-chip", side)) : element;
}

const filled = new WeakMap();

// Whether an element is to be filled anew: what is as before is left alone.
function isNews(element, content) {
  const before = filled.get(element);
  filled.set(element, content);
  return before !== content;
}

function fillLayer(element, { kind, side, content }) {
  const inner = side ? element.firstChild : element;
  if (!isNews(inner, content)) return;
  if (inner.tagName === "IMG") {
    inner.hidden = !content;
    // The old picture stays on the screen until the new one is there: nothing flickers.
    if (content) inner.src = content;
  } else if (kind === "outline") inner.innerHTML = content;
  else inner.textContent = content;
}

function makeControl(input, label, onChange) {
  // JupyterLab then leaves the element's keys alone.
  input.dataset.lmSuppressShortcuts = "true";
  input.setAttribute("aria-label", label);
  input.addEventListener("input", onChange);
  onChange();
  return input;
}

function makeSlider(label, onChange) {
  const input = make("input", "careedu-slider");
  Object.assign(input, { type: "range", min: 0, max: 100, step: 5, value: 50 });
  return makeControl(input, label, () => {
    input.setAttribute("aria-valuetext", `${input.value} %`);
    onChange(`${input.value}%`);
  });
}

function makeCheckbox(onChange) {
  const input = make("input", "");
  Object.assign(input, { type: "checkbox", checked: true });
  return makeControl(input, "", () => onChange(input.checked ? 1 : 0));
}

const wipes = (panel) => panel.layers.some(({ side }) => side);

function makePanel(panel, setWipe) {
  const frame = make("div", "careedu-frame");
  frame.setAttribute("role", "img");
  frame.dataset.panel = panel.name;
  const parts = ["title", "caption", "notes"].map((part) => make("div", `careedu-${part}`));
  const figure = make("div", "careedu-panel", parts[0], frame, parts[1]);
  if (wipes(panel)) figure.append(makeSlider("Wipe between A and B", setWipe));
  figure.append(parts[2]);
  return figure;
}

function fillPanel(figure, panel) {
  const frame = figure.querySelector(".careedu-frame");
  frame.setAttribute("aria-label", panel.alt);
  const layout = panel.layers.map(({ kind, side }) => kind + side).join();
  if (frame.dataset.layout !== layout) {
    frame.replaceChildren(...panel.layers.map(makeLayer));
    if (wipes(panel)) frame.append(make("div", "careedu-divider"));
    frame.dataset.layout = layout;
  }
  panel.layers.forEach((layer, number) => fillLayer(frame.children[number], layer));
  for (const [part, content] of [["title", "innerHTML"], ["caption", "textContent"], ["notes", "innerHTML"]]) {
    const place = figure.querySelector(`.careedu-${part}`);
    if (isNews(place, panel[part])) place[content] = panel[part];
  }
}

function nameSliders(root) {
  for (const part of root.querySelectorAll(".noUi-handle, .widget-readout")) {
    const label = part.closest(".widget-slider")?.querySelector(".widget-label")?.textContent;
    if (label && part.getAttribute("aria-label") !== label) part.setAttribute("aria-label", label);
    // Notebook 7 would take the arrow keys for itself.
    if (!part.dataset.lmSuppressShortcuts) part.dataset.lmSuppressShortcuts = "true";
  }
}

function render({ model, el }) {
  el.classList.add("careedu-pictures");
  const set = (name) => (value) => el.style.setProperty(`--careedu-${name}`, value);
  const [width, height] = model.get("size");
  set("width")(`${width}px`);
  set("height")(`${height}px`);
  const row = make("div", "careedu-row");
  const checkbox = makeCheckbox(set("outline"));
  const name = make("span", "");
  const nameCheckbox = () => {
    name.textContent = `Outline ${model.get("outlined")}`;
    checkbox.setAttribute("aria-label", name.textContent);
  };
  nameCheckbox();
  model.on("change:outlined", nameCheckbox);
  if (model.get("outlined")) {
    const opacity = make("label", "", "Map opacity", makeSlider("Map opacity", set("opacity")));
    el.append(make("div", "careedu-looks", opacity, make("label", "", checkbox, name)));
  }
  el.append(row);

  const draw = () => {
    const panels = model.get("value");
    const names = panels.map(({ name }) => name).join();
    if (row.dataset.names !== names) {
      row.replaceChildren(...panels.map((panel) => makePanel(panel, set("wipe"))));
      row.dataset.names = names;
    }
    panels.forEach((panel, number) => fillPanel(row.children[number], panel));
  };
  draw();
  model.on("change:value", draw);

  // ipywidgets puts an element into the page some time after it was made, and draws sliders anew as it likes.
  let observer = null;
  let frame = null;
  const watch = () => {
    if (!el.isConnected) {
      frame = requestAnimationFrame(watch);
      return;
    }
    const root = el.closest(ROOT);
    if (!root) return; // shown alone, with no sliders around it
    observer = new MutationObserver(() => nameSliders(root));
    observer.observe(root, { childList: true, subtree: true });
    nameSliders(root);
  };
  watch();
  return () => {
    cancelAnimationFrame(frame);
    observer?.disconnect();
    model.off("change:value", draw);
    model.off("change:outlined", nameCheckbox);
  };
}

export default { render };
