// Runs inside JupyterLab's page and is reached as `window.harness`. It listens to every message between page and
// kernel, so that an error in a widget's callback, which JupyterLab shows nowhere, is not missed.
(() => {
  const heard = { errors: [], stderr: "", pending: new Set(), sent: [] };
  let timer = null;

  const panel = () => window.jupyterapp?.shell.currentWidget;
  const kernel = () => panel()?.sessionContext?.session?.kernel;
  const visible = (element) => element.getClientRects().length > 0;
  const plain = (text) => text.replace(/\u001b\[[0-9;]*m/g, "");
  const words = (element) => element.textContent.replace(/[\s\u200b]+/g, " ").trim();

  function hear(_, { msg, direction }) {
    const type = msg.header.msg_type;
    if (direction === "send") {
      heard.sent.push(type);
      if (type === "comm_msg" || type === "execute_request") heard.pending.add(msg.header.msg_id);
    } else if (type === "error") {
      heard.errors.push(plain([`${msg.content.ename}: ${msg.content.evalue}`, ...msg.content.traceback].join("\n")));
    } else if (type === "stream" && msg.content.name === "stderr") {
      heard.stderr += plain(msg.content.text);
    } else if (type === "status" && msg.content.execution_state === "idle") {
      heard.pending.delete(msg.parent_header.msg_id);
    }
  }

  function cells() {
    return panel()
      .content.widgets.map((cell, index) => ({ cell, index }))
      .filter(({ cell }) => cell.model.type === "code" && cell.model.sharedModel.getSource().trim())
      .map(({ cell, index }) => ({
        index,
        id: cell.model.id,
        count: cell.model.executionCount,
        running: cell.model.executionState === "running",
        source: cell.model.sharedModel.getSource(),
      }));
  }

  // What can be compared of a picture: the pixels of an image or a canvas, the mark-up of anything else.
  function fingerprint(element) {
    if (element.tagName !== "IMG" && element.tagName !== "CANVAS") return element.outerHTML;
    const canvas = document.createElement("canvas");
    canvas.width = element.naturalWidth ?? element.width;
    canvas.height = element.naturalHeight ?? element.height;
    if (!canvas.width || !canvas.height) return "empty";
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(element, 0, 0);
    const pixels = new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
    let hash = 2166136261;
    for (const pixel of pixels) hash = Math.imul(hash ^ pixel, 16777619);
    return `${canvas.width}x${canvas.height}:${hash >>> 0}`;
  }

  function picture(selector) {
    const found = [...panel().content.node.querySelectorAll(selector)].filter(visible);
    if (!found.length) throw new Error(`no picture ${selector} in the notebook`);
    return found[0];
  }

  // Starts to wait for the next key and for the first frame with other pixels than now. A frame counts only when the
  // one after it begins (two animation frames), so that the time includes drawing. Comparing pixels comes after the
  // clock was read, and only where the source has changed, so that it costs the measured time nothing.
  function arm(selector) {
    const first = picture(selector);
    const before = { print: fingerprint(first), source: first.src };
    timer?.stop();
    const state = { pressed: null, milliseconds: null };
    const onKey = (event) => {
      state.pressed ??= event.timeStamp;
    };
    const compare = (current) => {
      const now = performance.now();
      if (state.pressed === null || state.milliseconds !== null || fingerprint(current) === before.print) return;
      state.milliseconds = now - state.pressed;
      state.stop();
    };
    const observer = new MutationObserver(async () => {
      const current = picture(selector);
      if (current === first && current.tagName === "IMG" && current.src === before.source) return;
      if (current.tagName === "IMG") {
        try {
          await current.decode();
        } catch (error) {
          // Replaced by a newer picture while decoding: its own mutation follows.
          if (error.name !== "EncodingError") throw error;
          return;
        }
      }
      requestAnimationFrame(() => requestAnimationFrame(() => compare(current)));
    });
    state.stop = () => {
      observer.disconnect();
      window.removeEventListener("keydown", onKey, true);
    };
    window.addEventListener("keydown", onKey, true);
    observer.observe(panel().content.node, { attributes: true, childList: true, characterData: true, subtree: true });
    timer = state;
    return before.print;
  }

  // Rows of radio and toggle buttons and sliders of choices lack the class that all other widgets have.
  const LABELLED =
    ".jupyter-widgets:not(.widget-box), .widget-radio, .widget-toggle-buttons, .widget-hslider, button.jupyter-button, [aria-label]";

  function name(element) {
    const label = element.querySelector(":scope > .widget-label");
    if (element.ariaLabel) return element.ariaLabel.trim();
    if (label && words(label)) return words(label);
    return element.matches("button, .widget-checkbox") ? words(element) || element.title : "";
  }

  // Pictures have names too, and so have the parts of a slider, which is one control.
  const CONTROL = ":not(img, svg, canvas, .noUi-handle, .widget-readout)";

  function controls() {
    const inOutputs = [...panel().content.node.querySelectorAll(".jp-OutputArea-output")];
    return inOutputs
      .flatMap((output) => [...output.querySelectorAll(LABELLED)])
      .filter((element) => visible(element) && element.matches(CONTROL) && name(element));
  }

  // What a screen reader would call a control: nothing, if it has no label of any kind.
  function nameless() {
    const heard = (field) =>
      field.getAttribute("aria-label")?.trim() ||
      [...(field.labels ?? [])].some((label) => words(label)) ||
      (field.matches("button") && words(field));
    const fields = "[role=slider], select, input:not([type=hidden]), textarea, button, [contenteditable]";
    return [...panel().content.node.querySelectorAll(".jp-OutputArea-output")]
      .flatMap((output) => [...output.querySelectorAll(fields)])
      .filter((field) => visible(field) && !heard(field))
      .map((field) => field.outerHTML.slice(0, 200));
  }

  const HANDLE = ".noUi-handle, select, input:checked, input:not([type=hidden]), textarea, button.mod-active, button";
  const handle = (element) => (element.matches(`${HANDLE}, [tabindex]`) ? element : element.querySelector(HANDLE));

  function value(element) {
    const field = handle(element);
    if (element.matches(".widget-toggle-buttons")) return words(element.querySelector("button.mod-active"));
    if (field.matches("input[type=radio]")) return words(element.querySelector("input:checked").closest("label"));
    if (field.matches("input[type=checkbox]")) return field.checked;
    if (field.matches("select")) return words(field.selectedOptions[0]);
    if (field.matches("button.jupyter-toggle-button, button.widget-toggle-button")) return field.matches(".mod-active");
    if (field.matches("button")) return words(field);
    if (!field.matches(".noUi-handle")) return field.value;
    const readout = element.querySelector(".widget-readout");
    return readout && visible(readout) ? words(readout) : field.getAttribute("aria-valuetext");
  }

  const cellOf = (element) => {
    const index = panel().content.widgets.findIndex((cell) => cell.node.contains(element));
    return index < 0 ? "outside the cells" : `cell ${index} (${panel().content.widgets[index].model.id})`;
  };
  const outline = (element) =>
    `<${element.tagName.toLowerCase()} class="${element.getAttribute("class") ?? ""}"> ${words(element).slice(0, 60)}`;

  // Whatever is cut off or scrolls inside an output, or reaches beyond the notebook's own width.
  function clipped() {
    const edge = panel().content.node.getBoundingClientRect().right;
    const findings = [];
    for (const output of panel().content.node.querySelectorAll(".jp-OutputArea, .jp-OutputArea *")) {
      if (!visible(output) || output.closest("select, input, textarea, svg, .noUi-target, [aria-hidden=true]")) continue;
      const box = output.getBoundingClientRect();
      if (box.width <= 1 || box.height <= 1) continue; // made for screen readers only
      const style = getComputedStyle(output);
      const wide = style.overflowX !== "visible" && output.scrollWidth > output.clientWidth + 1;
      const tall = style.overflowY !== "visible" && output.scrollHeight > output.clientHeight + 1;
      if (output.clientWidth && wide)
        findings.push(`${cellOf(output)}: ${output.scrollWidth} px wide in ${output.clientWidth}: ${outline(output)}`);
      if (output.clientHeight && tall)
        findings.push(`${cellOf(output)}: ${output.scrollHeight} px high in ${output.clientHeight}: ${outline(output)}`);
      if (box.right > edge + 1)
        findings.push(`${cellOf(output)}: reaches ${Math.round(box.right - edge)} px beyond: ${outline(output)}`);
    }
    return findings;
  }

  function codeTooWide() {
    return [...panel().content.node.querySelectorAll(".jp-CodeCell .cm-scroller")]
      .filter((editor) => editor.scrollWidth > editor.clientWidth + 1)
      .map((editor) => `${cellOf(editor)}: code ${editor.scrollWidth} px wide in ${editor.clientWidth}`);
  }

  function withoutAltText() {
    const empty = /^(|image|picture|figure|no description has been provided for this image)$/i;
    return [...panel().content.node.querySelectorAll("img, canvas, svg[role=img], .jp-OutputArea svg")]
      .filter((element) => visible(element) && !element.closest("[aria-hidden=true], button, .jp-OutputPrompt, .jp-Collapser"))
      .filter((element) => !element.parentElement.closest("[role=img][aria-label]"))
      .filter((element) => {
        const said = element.alt || element.ariaLabel || element.querySelector(":scope > title")?.textContent || "";
        return empty.test(said.trim());
      })
      .map((element) => `${cellOf(element)}: ${outline(element)}`);
  }

  window.harness = {
    ready: () => Boolean(kernel() && panel().context.isReady && kernel().status === "idle"),
    listen: () => kernel().anyMessage.connect(hear),
    heard: () => ({ errors: heard.errors, stderr: heard.stderr }),
    sent: () => heard.sent,
    failed: () => heard.errors.length > 0,
    settled: () => heard.pending.size === 0 && kernel().status === "idle",
    run: (command, options) => window.jupyterapp.commands.execute(command, options),
    start: (command) => void window.jupyterapp.commands.execute(command),
    cells,
    done: () => cells().every(({ count, running }) => count !== null && !running) && window.harness.settled(),
    evaluate: async (code, expression) => {
      const request = { code, silent: true, store_history: false, user_expressions: expression ? { expression } : {} };
      return (await kernel().requestExecute(request).done).content;
    },
    arm,
    timer: () => timer && { pressed: timer.pressed, milliseconds: timer.milliseconds },
    controls: () => controls().map(name),
    nameless,
    control: (wanted) => controls().filter((element) => name(element) === wanted),
    handle,
    value,
    clipped,
    codeTooWide,
    withoutAltText,
    height: () => Math.max(...panel().content.widgets.map((cell) => cell.node.offsetTop + cell.node.offsetHeight)),
    // Scrolls to the top, and says whether nothing is left to scroll to.
    allInView: () => {
      const scroller = panel().content.node.querySelector(".jp-WindowedPanel-outer");
      scroller.scrollTop = 0;
      const last = panel().content.widgets.at(-1).node.getBoundingClientRect().bottom;
      const pictures = [...panel().content.node.querySelectorAll("img")];
      return last <= scroller.getBoundingClientRect().bottom && pictures.every((image) => image.complete);
    },
    // The panel's own box begins this far below the top of the page.
    top: () => panel().content.node.getBoundingClientRect().top,
    outputs: () =>
      panel().content.widgets.flatMap((cell, index) =>
        [...cell.node.querySelectorAll(":scope .jp-Cell-outputArea > .jp-OutputArea-child")]
          .filter(visible)
          .map((node, order) => ({ cell: index, id: cell.model.id, order })),
      ),
    output: (cell, order) =>
      [...panel().content.widgets[cell].node.querySelectorAll(":scope .jp-Cell-outputArea > .jp-OutputArea-child")].filter(
        visible,
      )[order],
  };
})();
