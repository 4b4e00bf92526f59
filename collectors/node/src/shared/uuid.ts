/** A random UUID, version 4. An import of `node:crypto` would evaluate all that it exports, its web cryptography too. */
export const randomUUID = (): string => process.getBuiltinModule("node:crypto").randomUUID();
