const REDACTED = "REDACTED";
const MAX_CHARACTERS = 4096;
const MAX_PARAMETERS = 64;
const PARAMETER_NAME = /^[\w.~%[\]-]{1,64}$/;

/**
 * A URL, or the path and query of one, without what is secret in it: user and password, the values of its query, and
 * its fragment. OpenTelemetry's word for each is `REDACTED`. Never throws; repeated, it changes nothing.
 */
export function redactUrl(url: string): string {
  const text = url.slice(0, MAX_CHARACTERS);
  const hash = text.indexOf("#");
  const whole = hash < 0 ? text : text.slice(0, hash);
  const question = whole.indexOf("?");
  const place = withoutUser(question < 0 ? whole : whole.slice(0, question));
  const query = question < 0 ? "" : `?${redactQuery(whole.slice(question + 1))}`;
  return `${place}${query}${hash < 0 || hash === text.length - 1 ? "" : `#${REDACTED}`}`;
}

/** The names of a query's parameters, each value `REDACTED`. */
export function redactQuery(query: string): string {
  const start = query.startsWith("?") ? "?" : "";
  const parts = query.slice(start.length, MAX_CHARACTERS).split(/[&;]/, MAX_PARAMETERS);
  return start + parts.map(redactParameter).join("&");
}

function redactParameter(parameter: string): string {
  if (parameter === "") return "";
  const equals = parameter.indexOf("=");
  // Without a value it may itself be one: /callback?s3cr3t
  if (equals < 0) return REDACTED;
  const name = parameter.slice(0, equals);
  return `${PARAMETER_NAME.test(name) ? name : REDACTED}=${equals === parameter.length - 1 ? "" : REDACTED}`;
}

function withoutUser(place: string): string {
  const scheme = /^[a-z][a-z0-9+.-]*:\/\/|^\/\//i.exec(place)?.[0] ?? "";
  const slash = place.indexOf("/", scheme.length);
  const authority = place.slice(scheme.length, slash < 0 ? undefined : slash);
  const sign = authority.lastIndexOf("@");
  if (scheme === "" || sign < 0) return place;
  return `${scheme}${REDACTED}:${REDACTED}${authority.slice(sign)}${slash < 0 ? "" : place.slice(slash)}`;
}
