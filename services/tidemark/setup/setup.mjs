/**
 * Set-up for `npm start`, `npm run demo` and `npm test`: installs what is missing, says what it does, and does nothing when all is there.
 * Plain JavaScript without dependencies, as it runs before they are installed. Takes one argument: start, demo or test.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const MIN_NODE = [20, 19];
const MIN_PYTHON = [3, 10];
const PYTHON_NAMES = ["python3", "python3.13", "python3.12", "python3.11", "python3.10", "python"];
const TAIL_LINES = 30;
/** What each set-up installs with pip; the tests' set holds the demo's. */
const REQUIREMENTS = {
  demo: ["services/lab/django/requirements.txt"],
  test: ["services/lab/django/requirements.txt", "collectors/django/requirements-test.txt", "test/requirements.txt"],
};

const what = process.argv[2] ?? "start";
if (!["start", "demo", "test"].includes(what)) fail(`unknown set-up '${what}': use start, demo or test`);

checkNode();
await installNodePackages();
await build();
if (what === "demo") await installPython();
// They wait for the network most of the time.
if (what === "test") await Promise.all([installPython(), ...installTestPackages()]);

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < MIN_NODE[0] || (major === MIN_NODE[0] && minor < MIN_NODE[1])) {
    fail(`Tidemark needs Node ${MIN_NODE.join(".")} or newer; this is ${process.versions.node}.`);
  }
}

async function installNodePackages() {
  const stamp = join(root, "node_modules", ".tidemark-stamp");
  const wanted = hash(
    ["package-lock.json", "package.json"],
    [process.versions.modules, process.platform, process.arch],
  );
  if (read(stamp) === wanted) return;
  await run("Installing the Node packages (about a minute the first time)", "npm", ["ci", "--no-audit", "--no-fund"]);
  writeFileSync(stamp, wanted);
}

/** Packages that only tests need, in folders of their own apart from the workspaces: the demo does without them. */
function installTestPackages() {
  const compiler = "Installing the compiler of the ingest's kernel";
  const drivers = "Installing the database drivers of the Node agent's tests";
  const releases = "Installing the further releases of Node.js that the Node agent is tested under";
  return [
    installApart(compiler, join("services", "ingest", "kernel")),
    installApart(drivers, join("collectors", "node", "test", "drivers")),
    installApart(releases, join("collectors", "node", "test", "nodes")),
  ];
}

async function installApart(title, folder) {
  const stamp = join(root, folder, "node_modules", ".tidemark-stamp");
  const wanted = hash([join(folder, "package-lock.json")], []);
  if (read(stamp) === wanted) return;
  await run(title, "npm", ["ci", "--prefix", folder, "--no-audit", "--no-fund"]);
  writeFileSync(stamp, wanted);
}

async function build() {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  await run("Building", process.execPath, [tsc, "-b"], { quiet: true });
  await run("Bundling the viewer", process.execPath, [join(root, "services", "viewer", "scripts", "bundle.mjs")], {
    quiet: true,
  });
}

async function installPython() {
  const venv = join(root, ".venv");
  const python = process.platform === "win32" ? join(venv, "Scripts", "python.exe") : join(venv, "bin", "python");
  const stamp = (set) => join(venv, `.tidemark-stamp-${set}`);
  const wanted = (set) => hash([...REQUIREMENTS[set], "collectors/django/pyproject.toml"], [root]);
  const works = existsSync(python) && spawnSync(python, ["-c", "import sys"], { stdio: "ignore" }).status === 0;
  if (works && read(stamp(what)) === wanted(what)) return;
  const base = findPython();
  if (!works) {
    rmSync(venv, { recursive: true, force: true });
    const made = spawnSync(base, ["-m", "venv", venv], { encoding: "utf8" });
    if (made.status !== 0) {
      fail(
        `${base} could not make a virtual environment: ${(made.stderr || made.stdout).trim()}\n` +
          "Where Python was installed without venv (Debian, Ubuntu), install the package python3-venv and run the command again.",
      );
    }
  }
  const args = ["-m", "pip", "install", "--disable-pip-version-check", "--quiet"];
  for (const file of REQUIREMENTS[what]) args.push("-r", join(root, file));
  args.push("-e", join(root, "collectors", "django"));
  await run(`Installing the Python packages for the ${what} into .venv`, python, args);
  writeFileSync(stamp("demo"), wanted("demo"));
  if (what === "test") writeFileSync(stamp("test"), wanted("test"));
}

/** The first interpreter that is new enough; TIDEMARK_PYTHON_BASE names one to use. */
function findPython() {
  const named = process.env.TIDEMARK_PYTHON_BASE;
  const names = named ? [named] : PYTHON_NAMES;
  const seen = [];
  for (const name of names) {
    const { status, stdout } = spawnSync(name, ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"], {
      encoding: "utf8",
    });
    if (status !== 0) continue;
    const [major = 0, minor = 0] = stdout.trim().split(".").map(Number);
    if (major > MIN_PYTHON[0] || (major === MIN_PYTHON[0] && minor >= MIN_PYTHON[1])) return name;
    seen.push(`${name} is ${stdout.trim()}`);
  }
  return fail(
    `Tidemark's ${what} needs Python ${MIN_PYTHON.join(".")} or newer on the PATH${seen.length ? ` (${seen.join(", ")})` : ""}. ` +
      "Install it, or name one with TIDEMARK_PYTHON_BASE. `npm start` needs no Python.",
  );
}

/** Runs a step with a line of progress; its output is shown only when it fails. */
function run(title, command, args, { quiet = false } = {}) {
  return new Promise((resolve) => {
    const started = Date.now();
    const tty = process.stderr.isTTY && what !== "test"; // where steps run side by side
    if (!quiet) process.stderr.write(`tidemark: ${title} ...${tty ? "" : "\n"}`);
    const child = spawn(command, args, {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
      shell: process.platform === "win32",
    });
    const lines = [];
    const keep = (chunk) => lines.push(chunk.toString());
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    const timer =
      tty && !quiet
        ? setInterval(() => process.stderr.write(`\rtidemark: ${title} ... ${seconds(started)} s`), 1000)
        : undefined;
    child.on("error", (error) => fail(`${command}: ${error.message}`));
    child.on("close", (code) => {
      clearInterval(timer);
      if (code !== 0) {
        process.stderr.write(`\n${lines.join("").trimEnd().split("\n").slice(-TAIL_LINES).join("\n")}\n`);
        fail(`${title}: ${command} ended with ${code}. The lines above say why.`);
      }
      if (!quiet)
        process.stderr.write(
          tty
            ? `\rtidemark: ${title} ... done in ${seconds(started)} s\n`
            : `tidemark: ${title}: done in ${seconds(started)} s\n`,
        );
      resolve();
    });
  });
}

function hash(files, more) {
  const sum = createHash("sha256");
  for (const file of files) sum.update(readFileSync(join(root, file)));
  for (const text of more) sum.update(`\0${text}`);
  return sum.digest("hex");
}

function read(path) {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

function seconds(since) {
  return Math.round((Date.now() - since) / 1000);
}

function fail(message) {
  process.stderr.write(`tidemark: ${message}\n`);
  process.exit(1);
}
