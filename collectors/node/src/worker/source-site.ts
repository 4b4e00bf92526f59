import { isApplications, siteText } from "../shared/call-site.ts";
import type { Sited } from "../shared/messages.ts";
import type { Translate } from "./stall-reports.ts";

/**
 * What is told of a call site, by the source of the code that runs there: in a bundle the innermost call that is not of
 * a package whose source the bundle has taken in.
 */
export function bySource<Told extends Sited>(told: Told, translate: Translate): Told {
  if (told.site === undefined) return told;
  const frame = translate(told.site).find(isApplications);
  if (frame === undefined) return told;
  return { ...told, attributes: { ...told.attributes, "tidemark.db.site": siteText(frame) } };
}
