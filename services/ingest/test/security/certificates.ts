import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A certificate authority made for one test run, with OpenSSL. */
export class Authority {
  readonly path: string;
  private readonly directory: string;
  private readonly name: string;

  constructor(directory: string, name = "ca") {
    this.directory = directory;
    this.name = name;
    this.path = join(directory, `${name}.pem`);
    const key = join(directory, `${name}.key`);
    openssl(
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-days",
      "2",
    )(...["-keyout", key, "-out", this.path, "-subj", `/CN=${name}`]);
  }

  get pem(): Buffer {
    return readFileSync(this.path);
  }

  /** Certificate and key for localhost, signed by this authority, in files of that name. */
  issue(name: string): { certificate: string; key: string } {
    const at = (ending: string) => join(this.directory, `${name}.${ending}`);
    openssl(
      "req",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
    )(...["-keyout", at("key"), "-out", at("csr"), "-subj", `/CN=${name}`]);
    writeFileSync(at("ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
    openssl(
      "x509",
      "-req",
      "-days",
      "1",
      "-CAcreateserial",
    )(
      ...["-in", at("csr"), "-CA", this.path, "-CAkey", join(this.directory, `${this.name}.key`)],
      ...["-extfile", at("ext"), "-out", at("pem")],
    );
    return { certificate: at("pem"), key: at("key") };
  }
}

function openssl(...first: string[]): (...rest: string[]) => void {
  return (...rest) => void execFileSync("openssl", [...first, ...rest], { stdio: "pipe" });
}
