// Keyboard shortcuts and small behaviours of all pages. Everything works without this file, too.

const isTyping = (element) => element?.matches?.("input, textarea, select, [contenteditable]");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && !isTyping(document.activeElement)) {
    const search = document.querySelector("[data-search]");
    if (search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  }
  if (event.key === "Escape") {
    const open = document.activeElement?.closest?.("details[open]");
    if (open) {
      open.open = false;
      open.querySelector("summary")?.focus();
    }
  }
});

// A menu closes when the focus or a click is elsewhere.
for (const kind of ["click", "focusin"]) {
  document.addEventListener(kind, (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
}

// Times are shown in the reader's time zone, which each of them names; the title keeps UTC.
const FORMAT = { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
const localize = (root) => {
  for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const date = new Date(time.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    time.title = time.dateTime;
    time.textContent = date.toLocaleString(undefined, FORMAT);
    time.dataset.local = "";
  }
};
localize(document);
document.addEventListener("htmx:after:swap", () => localize(document));

// A button that copies the text of another element. Without the permission to write to the clipboard, it stays hidden.
if (navigator.clipboard) {
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
    });
  }
}
