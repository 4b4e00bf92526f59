import { xxHash64 } from "./hash.ts";

/** Whose id it is: equal exactly for the same series, whatever objects stand for it. */
export interface IdOwner {
  /** Unambiguous text of the metric, its scope and its resource: the same string object for all series of a metric. */
  readonly metric: string;
  /** Canonical text of the attributes. */
  readonly attributes: string;
}

/** The `n`th hash of a text, from 0 on. */
export type IdHash = (text: string, n: number) => bigint;

const nthHash: IdHash = (text, n) => xxHash64(n === 0 ? text : `${n}:${text}`);

/**
 * Gives every series its 64-bit id: the hash of its canonical text. Of two series with one hash the second to come gets
 * the first free one of a row of further hashes, and keeps it as long as this process lives; that it happened is counted.
 *
 * With 200,000 series the chance of one such pair is 1 in a billion. Another process may meet them in the other order,
 * and exchange their ids then; `series` has a row for both.
 */
export class SeriesIds {
  /** Times that two series had one hash. */
  collisions = 0;
  private readonly hash: IdHash;
  private readonly owners = new Map<bigint, IdOwner>();
  /** Ids that are not the hash of their series' text. Outlives `clear`. */
  private readonly moved = new Map<string, bigint>();
  /** The other side of `moved`, and of what made it necessary: ids that stay with their owners over `clear`, too. */
  private readonly kept = new Map<bigint, IdOwner>();

  constructor(hash: IdHash = nthHash) {
    this.hash = hash;
  }

  /** The id that the series has or would have. */
  idOf(owner: IdOwner): bigint {
    const text = textOf(owner);
    const moved = this.moved.size === 0 ? undefined : this.moved.get(text);
    if (moved !== undefined) return moved;
    const first = this.hash(text, 0);
    if (this.isFree(first, owner)) return first;
    this.collisions++;
    this.kept.set(first, this.ownerOf(first)!);
    for (let n = 1; ; n++) {
      const id = this.hash(text, n);
      if (!this.isFree(id, owner)) continue;
      this.moved.set(text, id);
      this.kept.set(id, owner);
      return id;
    }
  }

  /** From now on the id is this series' own. */
  take(id: bigint, owner: IdOwner): void {
    this.owners.set(id, owner);
  }

  /** Forgets whose ids they are, but for those that collided. */
  clear(): void {
    this.owners.clear();
  }

  private ownerOf(id: bigint): IdOwner | undefined {
    return this.owners.get(id) ?? this.kept.get(id);
  }

  private isFree(id: bigint, { metric, attributes }: IdOwner): boolean {
    const owner = this.ownerOf(id);
    return owner === undefined || (owner.attributes === attributes && owner.metric === metric);
  }
}

/** Lengths rule out that two owners have one text. */
function textOf({ metric, attributes }: IdOwner): string {
  return `${metric.length}:${metric}${attributes}`;
}
