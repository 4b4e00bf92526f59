/** A book as the listing shows it. */
export interface ListedBook {
  id: number;
  title: string;
  price_cents: number;
  author: string;
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;" };

/** Escapes text for HTML with the same entities as Django. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] as string);
}

export function renderList(books: ListedBook[]): string {
  const items = books.map(
    (book) => `<li>${escapeHtml(book.title)} by ${escapeHtml(book.author)}, ${book.price_cents} cents</li>\n`,
  );
  return `<ol>\n${items.join("")}</ol>\n`;
}

export function renderPage(limit: number, list: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Bookshop</title></head>
<body>
<h1>The ${limit} dearest books</h1>
${list}
</body>
</html>
`;
}

/** Rendered fragments by key, each for a fixed time; the keys are bounded by the caller's parameter bounds. */
export class FragmentCache {
  readonly #fragments = new Map<string, { html: string; expiresMs: number }>();
  readonly #lifetimeMs: number;

  constructor(lifetimeMs: number) {
    this.#lifetimeMs = lifetimeMs;
  }

  async get(key: string, render: () => Promise<string>): Promise<string> {
    const known = this.#fragments.get(key);
    if (known && known.expiresMs > performance.now()) return known.html;
    const html = await render();
    this.#fragments.set(key, { html, expiresMs: performance.now() + this.#lifetimeMs });
    return html;
  }
}
