// The order of the menu by drag and drop: the entry is dropped before or after another entry with the same parent. The
// buttons of the page do the same without this file.

let dragged = null;

const sibling = (event) => {
  const entry = event.target.closest?.("li[data-entry]");
  if (!dragged || !entry) return null;
  // An entry inside of another one stands for the ancestor that has the same parent as the dragged entry.
  for (let found = entry; found; found = found.parentElement.closest("li[data-entry]")) {
    if (found.parentElement === dragged.parentElement) return found === dragged ? null : found;
  }
  return null;
};

const isAfter = (entry, event) => {
  const box = entry.getBoundingClientRect();
  return event.clientY > box.top + box.height / 2;
};

const unmark = () => {
  for (const entry of document.querySelectorAll(".tree [data-drop]")) delete entry.dataset.drop;
};

for (const entry of document.querySelectorAll(".tree li[data-entry]")) entry.draggable = true;

document.addEventListener("dragstart", (event) => {
  dragged = event.target.closest?.("li[data-entry]") ?? null;
  if (dragged) event.dataTransfer.effectAllowed = "move";
});

document.addEventListener("dragover", (event) => {
  const entry = sibling(event);
  unmark();
  if (!entry) return;
  event.preventDefault();
  entry.dataset.drop = isAfter(entry, event) ? "after" : "before";
});

document.addEventListener("dragend", () => {
  unmark();
  dragged = null;
});

document.addEventListener("drop", (event) => {
  const entry = sibling(event);
  if (!entry) return;
  event.preventDefault();
  const next = isAfter(entry, event) ? entry.nextElementSibling : entry;
  const form = dragged.querySelector(":scope > .entry form.moves");
  const to = document.createElement("input");
  Object.assign(to, { type: "hidden", name: "to", value: "before" });
  form.append(to);
  form.elements.before.value = next?.dataset.entry ?? "";
  form.submit();
});
