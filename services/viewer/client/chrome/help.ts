import { h } from "../dom.ts";

const KEYS: [keys: string, meaning: string][] = [
  ["t", "dark or light"],
  ["r", "refresh now"],
  ["p", "pause or resume refreshing"],
  ["← →", "move the time range by half"],
  ["−", "zoom out"],
  ["+", "zoom in"],
  ["v", "full size of the panel under the mouse, and back"],
  ["k", "kiosk: panels only"],
  ["d", "choose a dashboard"],
  ["Esc", "leave full size or kiosk, close a menu"],
  ["?", "this list"],
];

let dialog: HTMLDialogElement | undefined;

/** Opens or closes the list of keys. */
export function toggleHelp(): void {
  if (dialog?.open) {
    dialog.close();
    return;
  }
  if (!dialog) {
    dialog = h(
      "dialog",
      { class: "help", "aria-label": "Keys" },
      h("h2", {}, "Keys"),
      h(
        "dl",
        {},
        KEYS.flatMap(([keys, meaning]) => [h("dt", {}, h("kbd", {}, keys)), h("dd", {}, meaning)]),
      ),
      h("button", { type: "button", class: "button primary", onclick: () => dialog?.close() }, "Close"),
    );
    document.body.append(dialog);
  }
  dialog.showModal();
}
