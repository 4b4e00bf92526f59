import type protobuf from "protobufjs";
import type { Random } from "../random.ts";

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const GROUP_START = 3;
const GROUP_END = 4;
const FIXED32 = 5;
const MAX_TREE_MUTATIONS = 4;
const INTERESTING: readonly bigint[] = [
  0n,
  1n,
  127n,
  128n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n,
  2n ** 63n,
  2n ** 64n - 1n,
];
const DOUBLES: readonly number[] = [Number.NaN, Number.POSITIVE_INFINITY, -0, 5e-324, 1.7976931348623157e308, -1];

/** A field on the wire. `children` where the schema says that its value is a message. */
interface Node {
  field: number;
  wire: number;
  value: bigint;
  bytes: Buffer;
  children: Node[] | undefined;
  type: protobuf.Type | undefined;
  /** A length to claim instead of the true one. */
  claim: bigint | undefined;
}

/** Changes the message as the wire format sees it: tags, lengths, numbers, nesting, order and counts of fields. */
export function mutateProtobuf(body: Buffer, type: protobuf.Type, random: Random): Buffer {
  const tree = parse(body, type);
  const times = 1 + random.below(MAX_TREE_MUTATIONS);
  for (let i = 0; i < times; i++) mutateNode(tree, random);
  return serialize(tree);
}

function parse(bytes: Buffer, type: protobuf.Type | undefined): Node[] {
  const nodes: Node[] = [];
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const node: Node = {
      field: tag >>> 3,
      wire: tag & 7,
      value: 0n,
      bytes: Buffer.alloc(0),
      children: undefined,
      type: undefined,
      claim: undefined,
    };
    if (node.wire === VARINT) node.value = varint();
    else {
      const length = node.wire === LENGTH ? Number(varint()) : node.wire === FIXED64 ? 8 : 4;
      node.bytes = bytes.subarray(at, at + length);
      at += length;
      const field = type?.fieldsById[node.field]?.resolve();
      const inner = field?.resolvedType;
      if (node.wire === LENGTH && inner !== null && inner !== undefined && "fieldsById" in inner) {
        node.type = inner as protobuf.Type;
        node.children = parse(node.bytes, node.type);
      }
    }
    nodes.push(node);
  }
  return nodes;
}

function serialize(nodes: readonly Node[]): Buffer {
  const parts: Buffer[] = [];
  for (const node of nodes) {
    parts.push(varintOf((BigInt(node.field) << 3n) | BigInt(node.wire)));
    if (node.wire === VARINT) parts.push(varintOf(node.value));
    else if (node.wire === LENGTH) {
      const inner = node.children === undefined ? node.bytes : serialize(node.children);
      parts.push(varintOf(node.claim ?? BigInt(inner.length)), inner);
    } else if (node.wire !== GROUP_START && node.wire !== GROUP_END) parts.push(node.bytes);
  }
  return Buffer.concat(parts);
}

/** A value of more than 64 bits is written in as many bytes as it takes: an illegal varint. */
function varintOf(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

/** A random node, and the list it is in. */
function pick(nodes: Node[], random: Random): { list: Node[]; index: number; node: Node } | undefined {
  const all: { list: Node[]; index: number; node: Node }[] = [];
  const visit = (list: Node[]) => {
    list.forEach((node, index) => {
      all.push({ list, index, node });
      if (node.children !== undefined) visit(node.children);
    });
  };
  visit(nodes);
  return all.length === 0 ? undefined : random.pick(all);
}

function mutateNode(tree: Node[], random: Random): void {
  const found = pick(tree, random);
  if (found === undefined) return;
  const { list, index, node } = found;
  const plain = (field: number, wire: number, bytes: Buffer): Node => ({
    field,
    wire,
    value: 0n,
    bytes,
    children: undefined,
    type: undefined,
    claim: undefined,
  });
  const mutations: (() => void)[] = [
    () => void list.splice(index, 1),
    () =>
      void list.splice(
        index,
        0,
        ...Array.from({ length: random.chance(0.03) ? 2000 : 1 + random.below(20) }, () => node),
      ),
    () => {
      node.field = random.pick([0, 1, 2, 3, 5, 7, 9, 15, 16, 1022, 19000, 2 ** 29 - 1]);
    },
    () => {
      node.wire = random.below(8);
    },
    () => {
      node.value = random.chance(0.1) ? 2n ** 80n : random.pick(INTERESTING);
      if (node.wire === FIXED64) node.bytes = double(random.pick(DOUBLES));
    },
    () => {
      node.bytes = weirdBytes(node.bytes, random);
      node.children = undefined;
    },
    () => {
      const length = BigInt(node.children === undefined ? node.bytes.length : serialize(node.children).length);
      const shifted = length + random.pick([-1n, 1n, 8n, -8n]);
      node.claim = random.chance(0.5) && shifted >= 0n ? shifted : random.pick(INTERESTING);
    },
    () => {
      // Nested any-values, or whatever message this is, in themselves.
      const depth = random.pick([5, 64, 99, 101, 500, 5000]);
      node.wire = LENGTH;
      node.children = undefined;
      node.bytes = nested(depth, random.pick([0x2a, 0x32, 0x0a, 0x12]));
    },
    () => {
      for (let i = list.length - 1; i > 0; i--) {
        const other = random.below(i + 1);
        [list[i], list[other]] = [list[other]!, list[i]!];
      }
    },
    () => {
      const depth = random.pick([1, 3, 99, 150]);
      const groups = Array.from({ length: depth }, () => plain(99, GROUP_START, Buffer.alloc(0)));
      const ends = Array.from({ length: depth - random.below(2) }, () => plain(99, GROUP_END, Buffer.alloc(0)));
      list.splice(index, 0, ...groups, ...ends);
    },
    () => void list.splice(index, 0, plain(random.pick([100, 1022, 5]), LENGTH, randomBytes(random.below(64), random))),
    () => void list.splice(index, 0, plain(random.below(40), FIXED32, randomBytes(4, random))),
    () => {
      const other = pick(tree, random)!.node;
      node.bytes = other.children === undefined ? other.bytes : serialize(other.children);
      node.children = undefined;
    },
    () => {
      // A packed list of very many numbers.
      node.wire = LENGTH;
      node.children = undefined;
      node.bytes = Buffer.alloc(8 * random.pick([100, 161, 5000, 20000]), random.below(256));
    },
    () => {
      if (node.children !== undefined) node.children = node.children.slice(0, random.below(node.children.length + 1));
    },
  ];
  random.pick(mutations)();
}

function nested(depth: number, tag: number): Buffer {
  let inner = Buffer.alloc(0);
  for (let level = 0; level < depth; level++)
    inner = Buffer.concat([Buffer.from([tag]), varintOf(BigInt(inner.length)), inner]);
  return inner;
}

function double(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
}

export function randomBytes(length: number, random: Random): Buffer {
  return Buffer.from(Array.from({ length }, () => random.below(256)));
}

function weirdBytes(bytes: Buffer, random: Random): Buffer {
  return random.pick([
    () => Buffer.alloc(0),
    () => Buffer.from([0xff, 0xfe, 0xc0, 0x80, 0xed, 0xa0, 0x80]),
    () => Buffer.alloc(random.pick([300, 5000, 70_000]), random.below(256)),
    () => Buffer.from("\0\n\n'; DROP TABLE samples; --"),
    () => randomBytes(Math.max(1, bytes.length), random),
    () => bytes.subarray(0, random.below(bytes.length + 1)),
  ])();
}
