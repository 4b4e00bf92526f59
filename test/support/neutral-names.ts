import { homedir, hostname, userInfo } from "node:os";
import { ROOT } from "./tidemark.ts";

/** Replaces this machine's name, its user and the folders of the project and the user, where they stand as whole words. */
export function neutralNames(): (text: string) => string {
  const word = (name: string): RegExp =>
    new RegExp(`(?<![\\w.-])${name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")}(?![\\w-])`, "g");
  const folders: [string, string][] = [
    [ROOT.replace(/\/$/, ""), "/srv/tidemark"],
    [homedir(), "/home/demo"],
  ];
  const names: [RegExp, string][] = [
    [word(hostname()), "demo-host"],
    [word(userInfo().username), "demo"],
  ];
  return (text) => {
    let changed = text;
    for (const [folder, other] of folders) changed = changed.replaceAll(folder, other);
    for (const [name, other] of names) changed = changed.replace(name, other);
    return changed;
  };
}
