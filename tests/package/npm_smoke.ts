/**
 * The built package as a user gets it: packed, installed into an empty folder from the tarball, its types checked with
 * both module resolutions in use, and a small program run with it under the oldest supported Node and a newer one.
 *
 *     deno task smoke
 *
 * Needs `deno task build` first (the task does it). The last line is `N passed, N failed`.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The oldest supported major and the newest one that is a long-term release. */
const NODE_MAJORS = ["22", "24"] as const;
const STEP_MS = 240_000;

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(dirname(here));
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
let passed = 0;
let failed = 0;

/** Runs a command. @returns Its output. @throws Error with the output when it fails or hangs. */
function command(cwd: string, program: string, ...args: string[]): string {
  const { status, signal, stdout, stderr, error } = spawnSync(program, args, {
    cwd,
    encoding: "utf8",
    timeout: STEP_MS,
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (status === 0) return stdout;
  const why = error?.message ?? signal ?? `code ${status}`;
  throw new Error(`${program} ${args.join(" ")}: ${why}\n${stdout}\n${stderr}`);
}

function step<T>(name: string, run: () => T): T | undefined {
  const started = performance.now();
  const seconds = (): string => `${((performance.now() - started) / 1000).toFixed(1)} s`;
  try {
    const result = run();
    passed++;
    console.log(`ok    ${name} (${seconds()})`);
    return result;
  } catch (error) {
    failed++;
    console.log(`FAIL  ${name} (${seconds()})\n${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

function typeScriptConfig(resolution: "nodenext" | "bundler", emit: boolean): string {
  return JSON.stringify({
    compilerOptions: {
      target: "es2023",
      lib: ["es2023", "esnext.disposable"],
      types: ["node"],
      module: resolution === "nodenext" ? "nodenext" : "esnext",
      moduleResolution: resolution,
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      noEmit: !emit,
    },
    files: ["consumer.ts"],
  });
}

const folder = mkdtempSync(join(tmpdir(), "tutti-smoke-"));
try {
  step("npm pack", () => command(root, "npm", "pack", "--silent", "--pack-destination", folder));
  const tarball = readdirSync(folder).find((file) => file.endsWith(".tgz")) ?? "";
  step("the package holds the build, README and LICENSE, and no sources or tests", () => {
    const files = command(folder, "tar", "-tzf", tarball).trim().split("\n");
    const sources = files.filter((file) => /(?<!\.d)\.ts$/.test(file) || file.includes("/tests/"));
    if (sources.length > 0) throw new Error(`it holds ${sources.join(", ")}`);
    for (const file of ["dist/mod.js", "dist/mod.d.ts", "README.md", "LICENSE", "CHANGELOG.md"]) {
      if (!files.includes(`package/${file}`)) throw new Error(`${file} is missing`);
    }
  });
  step("npm install from the tarball", () => {
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "consumer", type: "module" }));
    const { typescript } = manifest.devDependencies;
    const types = manifest.devDependencies["@types/node"];
    const packages = [`./${tarball}`, `typescript@${typescript}`, `@types/node@${types}`];
    command(folder, "npm", "install", "--no-audit", "--no-fund", "--loglevel", "error", ...packages);
  });
  copyFileSync(join(here, "consumer", "consumer.ts"), join(folder, "consumer.ts"));
  for (const resolution of ["bundler", "nodenext"] as const) {
    step(`types with moduleResolution ${resolution}`, () => {
      writeFileSync(join(folder, "tsconfig.json"), typeScriptConfig(resolution, resolution === "nodenext"));
      command(folder, "npx", "--no", "--", "tsc", "-p", "tsconfig.json");
    });
  }
  for (const major of NODE_MAJORS) {
    step(`two members over memory, three over ZeroMQ and UDP, a store on disk, under Node ${major}`, () => {
      const version = command(folder, "npx", "-y", `node@${major}`, "--version").trim();
      if (!version.startsWith(`v${major}.`)) throw new Error(`npx node@${major} is ${version}`);
      const output = command(folder, "npx", "-y", `node@${major}`, "consumer.js");
      if (!output.includes("consumer ok")) throw new Error(output);
      console.log(output.trim().replace(/^/gm, `      ${version}  `));
    });
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log("");
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
