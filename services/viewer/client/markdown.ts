import { h } from "./dom.ts";

/**
 * The Markdown that panel texts use, built as elements and never as HTML text: headings, paragraphs, lists, quotes, tables,
 * code, rules, emphasis and links (http, https, mailto and our own paths only).
 */
export function markdown(source: string): Node[] {
  const lines = source.replace(/\r/g, "").split("\n");
  const out: Node[] = [];
  for (let i = 0; i < lines.length; ) {
    const line = lines[i]!;
    const heading = /^(#{1,6})\s+(.*?)\s*#*$/.exec(line);
    if (line.trim() === "") i++;
    else if (line.startsWith("```")) {
      const end = lines.findIndex((other, j) => j > i && other.startsWith("```"));
      const stop = end === -1 ? lines.length : end;
      out.push(h("pre", {}, h("code", {}, lines.slice(i + 1, stop).join("\n"))));
      i = stop + 1;
    } else if (heading) {
      out.push(h(`h${Math.min(6, heading[1]!.length)}` as "h1", {}, inline(heading[2]!)));
      i++;
    } else if (/^\s*(?:[-*_]\s*){3,}$/.test(line)) {
      out.push(h("hr"));
      i++;
    } else if (/^\s*\|.*\|\s*$/.test(line) && /^\s*\|[\s:|-]+\|\s*$/.test(lines[i + 1] ?? "")) {
      const block = take(lines, i, (other) => /^\s*\|/.test(other));
      out.push(table(block));
      i += block.length;
    } else if (/^\s*>/.test(line)) {
      const block = take(lines, i, (other) => /^\s*>/.test(other));
      out.push(h("blockquote", {}, markdown(block.map((other) => other.replace(/^\s*> ?/, "")).join("\n"))));
      i += block.length;
    } else if (LIST.test(line)) {
      const block = take(lines, i, (other) => LIST.test(other) || /^\s{2,}\S/.test(other));
      out.push(list(block));
      i += block.length;
    } else {
      const block = take(
        lines,
        i,
        (other) => other.trim() !== "" && !/^(?:#{1,6}\s|```|\s*>)/.test(other) && !LIST.test(other),
      );
      out.push(
        h(
          "p",
          {},
          block.flatMap((part, j) =>
            j > 0 ? [document.createTextNode(" "), ...inline(part.trim())] : inline(part.trim()),
          ),
        ),
      );
      i += Math.max(1, block.length);
    }
  }
  return out;
}

const LIST = /^\s*(?:[-*+]|\d+[.)])\s+/;

function take(lines: string[], start: number, accept: (line: string) => boolean): string[] {
  let end = start + 1;
  while (end < lines.length && accept(lines[end]!)) end++;
  return lines.slice(start, end);
}

function list(block: string[]): HTMLElement {
  const indent = /^\s*/.exec(block[0]!)![0].length;
  const items: string[][] = [];
  for (const line of block) {
    const own = /^\s*/.exec(line)![0].length <= indent && LIST.test(line);
    if (own) items.push([line.replace(LIST, "")]);
    else items.at(-1)?.push(line.slice(indent + 2));
  }
  return h(
    /^\s*\d/.test(block[0]!) ? "ol" : "ul",
    {},
    items.map(([first = "", ...rest]) =>
      h(
        "li",
        {},
        inline(first),
        rest.some((line) => LIST.test(line))
          ? markdown(rest.join("\n"))
          : inline(rest.length > 0 ? ` ${rest.join(" ").trim()}` : ""),
      ),
    ),
  );
}

function table(block: string[]): HTMLElement {
  const cells = (line: string) =>
    line
      .trim()
      .replace(/^\||\|$/g, "")
      .split("|")
      .map((cell) => cell.trim());
  const [head = "", , ...rows] = block;
  return h(
    "table",
    {},
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        cells(head).map((cell) => h("th", {}, inline(cell))),
      ),
    ),
    h(
      "tbody",
      {},
      rows.map((row) =>
        h(
          "tr",
          {},
          cells(row).map((cell) => h("td", {}, inline(cell))),
        ),
      ),
    ),
  );
}

const INLINE =
  /`([^`]+)`|\*\*(.+?)\*\*|__(.+?)__|\*([^*\s](?:[^*]*[^*\s])?)\*|\b_([^_]+)_\b|\[([^\]]+)\]\(([^)\s]+)\)|(https?:\/\/[^\s)]+)/;

function inline(source: string): Node[] {
  const match = INLINE.exec(source);
  if (!match) return source === "" ? [] : [document.createTextNode(source)];
  const [whole, code, bold, bold2, em, em2, label, href, bare] = match;
  let node: Node;
  if (code !== undefined) node = h("code", {}, code);
  else if (bold ?? bold2) node = h("strong", {}, inline((bold ?? bold2)!));
  else if (em ?? em2) node = h("em", {}, inline((em ?? em2)!));
  else if (bare) node = anchor(bare, [document.createTextNode(bare)]);
  else node = anchor(href!, inline(label!));
  return [...inline(source.slice(0, match.index)), node, ...inline(source.slice(match.index + whole.length))];
}

function anchor(href: string, children: Node[]): HTMLElement {
  if (!isSafeHref(href)) return h("span", {}, children);
  const outside = /^https?:/.test(href);
  return h("a", { href, ...(outside ? { target: "_blank", rel: "noreferrer" } : {}) }, children);
}

/** Addresses a dashboard may link to. */
export function isSafeHref(href: string): boolean {
  return /^(?:https?:|mailto:|\/(?!\/)|#|\?)/i.test(href);
}
