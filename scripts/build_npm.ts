/**
 * Builds the npm package: the modules behind the exports, type-checked against Node's types and with the types
 * stripped, into `dist/`. Nothing is bundled, so a stack trace and a reader find the same files as in the sources.
 *
 * It emits plain type stripping (no source maps needed) and refuses to emit anything when a type is wrong.
 */
import { readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const configFile = join(root, "scripts", "tsconfig.npm.json");
const dist = join(root, "dist");

const host: ts.FormatDiagnosticsHost = {
  getCanonicalFileName: (name) => name,
  getCurrentDirectory: () => root,
  getNewLine: () => "\n",
};

/** Compiles. @returns The diagnostics, empty when all is well. */
function build(): readonly ts.Diagnostic[] {
  const { config, error } = ts.readConfigFile(configFile, ts.sys.readFile);
  if (error !== undefined) return [error];
  const parsed = ts.parseJsonConfigFileContent(config, ts.sys, dirname(configFile));
  if (parsed.errors.length > 0) return parsed.errors;
  const program = ts.createProgram(parsed.fileNames, parsed.options);
  const found = ts.getPreEmitDiagnostics(program);
  if (found.length > 0) return found;
  rmSync(dist, { recursive: true, force: true });
  return program.emit().diagnostics;
}

const diagnostics = build();
if (diagnostics.length > 0) {
  console.error(ts.formatDiagnostics(diagnostics, host));
  console.error(`Cannot build: ${diagnostics.length} errors`);
  process.exit(1);
}
const files = readdirSync(dist, { recursive: true, encoding: "utf8" });
console.log(`built dist/: ${files.filter((file) => file.endsWith(".js")).length} modules`);
