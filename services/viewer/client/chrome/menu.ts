import { h, ICONS, icon } from "../dom.ts";

/** A button with a box that opens below it; closes on Escape, on a click elsewhere and by `close`. */
export function menu(
  label: (Node | string)[],
  describe: string,
  fill: (close: () => void) => Node[],
  className = "",
): HTMLElement {
  const box = h("div", { class: "menu-box", hidden: true });
  const button = h(
    "button",
    { type: "button", class: "button", "aria-haspopup": "true", "aria-expanded": "false", "aria-label": describe },
    label,
    icon(...ICONS.chevron),
  );
  const root = h("div", { class: `menu ${className}` }, button, box);
  const outside = (event: Event) => {
    if (!root.contains(event.target as Node)) close();
  };
  const key = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    close();
    button.focus();
  };
  function close(): void {
    box.hidden = true;
    button.setAttribute("aria-expanded", "false");
    document.removeEventListener("pointerdown", outside);
    root.removeEventListener("keydown", key);
  }
  button.addEventListener("click", () => {
    if (!box.hidden) return close();
    box.replaceChildren(...fill(close));
    box.hidden = false;
    button.setAttribute("aria-expanded", "true");
    const overflow = box.getBoundingClientRect().right - window.innerWidth + 8;
    box.style.marginLeft = overflow > 0 ? `${-overflow}px` : "0";
    document.addEventListener("pointerdown", outside);
    root.addEventListener("keydown", key);
    box.querySelector<HTMLElement>("input, button, a")?.focus();
  });
  return root;
}
