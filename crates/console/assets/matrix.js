// The draft of the matrix pages: cells change by click and by key, edits are counted and can be undone, and leaving the page
// with a draft asks first. Without this file, each level is edited with the controls of its own page.

const form = document.getElementById("draft");
const table = document.querySelector("table.matrix");
const LABELS = {
  views: { n: "", a: "Allow", d: "Deny" },
  features: { n: "", a: "any", c: "company", t: "team", o: "own", d: "Deny" },
};

/** The edits by cell: the rule that the page showed, and the rule that the person wants. */
const draft = new Map();
/** The edits to undo: the cell, and its edit before. */
const history = [];
let isSubmitting = false;

const live = document.createElement("p");
live.className = "visually-hidden";
live.setAttribute("aria-live", "polite");

/** Splits the name of a field: `c.<rule>.<level>.<cell>`. */
const parsed = (name) => {
  const [, before, level, ...cell] = name.split(".");
  return { before, key: `${level}.${cell.join(".")}` };
};

const changedSelects = () =>
  form ? [...form.querySelectorAll("select[name^='c.']")].filter((select) => parsed(select.name).before !== select.value) : [];

const size = () => draft.size + changedSelects().length;

const show = () => {
  const count = size();
  document.getElementById("draft-count").textContent = count === 1 ? "1 change" : `${count} changes`;
  const undo = form.querySelector("[data-undo]");
  if (undo) undo.hidden = history.length === 0;
  if (table) form.hidden = count === 0;
};

/** Sends the draft to another page, which keeps it. */
const take = (path) => {
  form.setAttribute("action", path);
  form.requestSubmit();
};

const setUpForm = () => {
  form.after(live);
  for (const input of form.querySelectorAll("[data-edits] input")) {
    const { before, key } = parsed(input.name);
    draft.set(key, { before, after: input.value });
  }
  form.addEventListener("change", show);
  form.addEventListener("submit", () => {
    isSubmitting = true;
    const edits = form.querySelector("[data-edits]");
    edits.replaceChildren(
      ...[...draft].map(([key, { before, after }]) => {
        const input = document.createElement("input");
        Object.assign(input, { type: "hidden", name: `c.${before}.${key}`, value: after });
        return input;
      }),
    );
    const changed = new Set(changedSelects());
    for (const select of form.querySelectorAll("select[name^='c.']")) select.disabled = !changed.has(select);
  });
  addEventListener("pageshow", () => {
    isSubmitting = false;
    for (const select of form.querySelectorAll("select[name^='c.']")) select.disabled = false;
    show();
  });
  addEventListener("beforeunload", (event) => {
    if (!isSubmitting && size() > 0) event.preventDefault();
  });
  form.querySelector("[data-discard]")?.addEventListener("click", () => {
    isSubmitting = true;
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-keep-draft]");
    if (!link || size() === 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const path = new URL(link.href);
    // Only the pages of the matrix keep a draft.
    if (!/\/matrix$/.test(path.pathname)) return;
    event.preventDefault();
    take(path.pathname + path.search);
  });
  document.querySelector("form[data-keep-draft]")?.addEventListener("submit", (event) => {
    if (size() === 0) return;
    event.preventDefault();
    const query = new URLSearchParams(new FormData(event.target));
    take(`${event.target.getAttribute("action")}?${query}`);
  });
};

const setUpTable = () => {
  const isEditable = "editable" in table.dataset;
  const mayEditPinned = "pinned" in table.dataset;
  const labels = LABELS[table.dataset.kind];
  const order = Object.keys(labels);
  const [heading] = table.tHead.rows;
  const body = table.tBodies[0];

  const keyOf = (cell) => `${heading.cells[cell.cellIndex].dataset.level}.${cell.parentElement.dataset.cell}`;
  const ruleOf = (cell) => [...cell.classList].find((name) => name in labels) ?? "n";
  const isLocked = (cell) => cell.classList.contains("p") && !mayEditPinned;

  /** Shows a rule in a cell. `before` is the rule without the draft. */
  const paint = (cell, rule, before) => {
    cell.classList.remove(...order);
    if (rule !== "n") cell.classList.add(rule);
    const text = rule === "n" && before !== "n" ? "inherit" : labels[rule];
    if (cell.firstChild?.nodeType === Node.TEXT_NODE) cell.firstChild.data = text;
    else cell.prepend(text);
    cell.classList.toggle("edited", rule !== before);
    const ceiling = cell.querySelector("[data-ceiling]");
    if (ceiling) ceiling.hidden = rule !== before;
    if (rule === before) cell.removeAttribute("title");
    else cell.title = `Was: ${labels[before] || "inherit"}`;
  };

  const announce = (cell, rule) => {
    const row = cell.parentElement.cells[0].title;
    live.textContent = `${row}, ${heading.cells[cell.cellIndex].title}: ${labels[rule] || "inherit"}`;
  };

  const put = (key, edit) => {
    if (edit && edit.before !== edit.after) draft.set(key, edit);
    else draft.delete(key);
  };

  const change = (cell, rule) => {
    if (isLocked(cell)) {
      live.textContent = "Pinned by the platform: only super admins may change it";
      return;
    }
    const key = keyOf(cell);
    const edit = draft.get(key);
    const before = edit?.before ?? ruleOf(cell);
    if (rule === (edit?.after ?? before)) return;
    history.push([key, edit]);
    put(key, { before, after: rule });
    paint(cell, rule, before);
    announce(cell, rule);
    show();
  };

  const cycle = (cell, step) => {
    const at = order.indexOf(ruleOf(cell));
    change(cell, order[(at + step + order.length) % order.length]);
  };

  const cellOf = (key) => {
    const level = key.slice(0, 36);
    const column = [...heading.cells].findIndex((cell) => cell.dataset.level === level);
    const row = [...body.rows].find((found) => found.dataset.cell === key.slice(37));
    return column < 0 ? undefined : row?.cells[column];
  };

  const undo = () => {
    const last = history.pop();
    if (!last) return;
    const [key, edit] = last;
    const before = edit?.before ?? draft.get(key)?.before;
    put(key, edit);
    const cell = cellOf(key);
    if (cell) {
      const rule = edit?.after ?? before ?? ruleOf(cell);
      paint(cell, rule, before ?? rule);
      announce(cell, rule);
      move(cell);
    }
    show();
  };

  const showDraft = () => {
    for (const [key, { before, after }] of draft) {
      const cell = cellOf(key);
      if (cell) paint(cell, after, before);
    }
  };

  let current;
  const move = (cell, withFocus = true) => {
    if (!cell || cell.tagName !== "TD") return;
    if (cell !== current) {
      current?.removeAttribute("tabindex");
      current = cell;
      cell.tabIndex = 0;
    }
    if (!withFocus) return;
    cell.focus({ preventScroll: true });
    cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  };

  const neighbour = (cell, key) => {
    const row = cell.parentElement;
    switch (key) {
      case "ArrowLeft": return cell.previousElementSibling;
      case "ArrowRight": return cell.nextElementSibling;
      case "ArrowUp": return row.previousElementSibling?.cells[cell.cellIndex];
      case "ArrowDown": return row.nextElementSibling?.cells[cell.cellIndex];
      case "Home": return row.cells[1];
      case "End": return row.cells[row.cells.length - 1];
      case "PageUp": return body.rows[Math.max(0, row.sectionRowIndex - 15)].cells[cell.cellIndex];
      case "PageDown": return body.rows[Math.min(body.rows.length - 1, row.sectionRowIndex + 15)].cells[cell.cellIndex];
      default: return undefined;
    }
  };

  const edit = () => {
    table.setAttribute("role", "grid");
    for (const hint of document.querySelectorAll("[data-scripted]")) hint.hidden = false;
    move(body.rows[0]?.cells[1], false);
    body.addEventListener("click", (event) => {
      const cell = event.target.closest("td");
      if (!cell) return;
      move(cell);
      cycle(cell, 1);
    });
    body.addEventListener("focusin", (event) => move(event.target.closest("td"), false));
    body.addEventListener("keydown", (event) => {
      const cell = event.target.closest("td");
      if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === " " || event.key === "Enter") cycle(cell, event.shiftKey ? -1 : 1);
      else if (event.key === "Escape") change(cell, draft.get(keyOf(cell))?.before ?? ruleOf(cell));
      else if (neighbour(cell, event.key)) move(neighbour(cell, event.key));
      else return;
      event.preventDefault();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || event.target.matches("input, textarea")) return;
      event.preventDefault();
      undo();
    });
    form.querySelector("[data-undo]").addEventListener("click", undo);
    showDraft();
  };

  /** Loads the next rows when the reader comes near the end of the table. */
  const loadRows = () => {
    const from = document.querySelector(".pager span")?.textContent.match(/\d+/)?.[0];
    const watch = new IntersectionObserver(
      async ([last]) => {
        const link = document.querySelector("a[data-more]");
        if (!link || !last.isIntersecting) return;
        watch.disconnect();
        const response = await fetch(link.href).catch(() => undefined);
        if (!response?.ok || response.redirected) return;
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        body.append(...(page.querySelector("table.matrix tbody")?.rows ?? []));
        const pager = page.querySelector(".pager");
        const text = pager.querySelector("span");
        text.textContent = text.textContent.replace(/\d+/, from);
        pager.querySelector("a:not([data-more])")?.remove();
        document.querySelector(".pager").replaceWith(pager);
        if (isEditable) showDraft();
        watch.observe(body.lastElementChild);
      },
      { root: table.parentElement, rootMargin: "600px" },
    );
    if (document.querySelector("a[data-more]")) watch.observe(body.lastElementChild);
  };

  if (isEditable && form) edit();
  loadRows();
};

if (form) setUpForm();
if (table) setUpTable();
if (form) show();
