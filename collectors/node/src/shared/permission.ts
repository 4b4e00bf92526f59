/**
 * Whether this process may use its inspector; to be asked in the main thread, as others do not know the permissions. Under Node's permission model it may not, and a session to the main thread
 * does not throw there but ends the process (Node 20).
 */
export function mayInspect(): boolean {
  const { permission } = process as { permission?: { has(scope: string): boolean } };
  return permission === undefined || permission.has("inspector");
}
