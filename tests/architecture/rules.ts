/**
 * The rules of the architecture, checked on syntax trees: who may import whom, what the core must not touch, and what no
 * file may contain. Pure: it is given paths and texts and returns what is wrong, so that it can itself be tested.
 */
import ts from "typescript";

/** Sources by path from the root of the repository. */
export type Sources = ReadonlyMap<string, string>;

/** Longest file, in lines. */
export const FILE_LINES_MAX = 500;

/** What each room of `core/` may import besides itself. The order of the lines is the direction of imports. */
const CORE_ROOMS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  wire: ["base"],
  clock: ["base"],
  multicast: ["base", "wire", "clock"],
  order: ["base", "wire", "clock"],
  membership: ["base", "wire", "clock"],
  election: ["base", "wire", "clock"],
  group: ["base", "wire", "clock", "multicast", "order", "membership", "election"],
  replication: ["base", "wire"],
  runtime: ["base", "wire", "clock", "multicast", "order", "membership", "election", "group", "replication"],
  testing: [
    "base",
    "wire",
    "clock",
    "multicast",
    "order",
    "membership",
    "election",
    "group",
    "replication",
    "runtime",
  ],
};

/** What the adapters of each kind may import of `core/` besides themselves: a file, or a folder. */
const PORTS: Readonly<Record<string, readonly string[]>> = {
  transport: ["core/runtime/transport.ts", "core/base/"],
  storage: ["core/runtime/store.ts", "core/base/"],
};

/** Packages and runtime modules that a folder may import. Everything else may import none. */
const PACKAGES: readonly (readonly [folder: string, packages: RegExp])[] = [
  ["core/wire/", /^cbor-x$/],
  ["core/group/", /^@noble\/hashes\/sha2\.js$/],
  ["transports/zeromq/", /^(zeromq|node:[a-z_/]+)$/],
  ["transports/udp/", /^node:[a-z_/]+$/],
  ["transports/compression/", /^node:zlib$/],
  ["storage/sqlite/", /^node:[a-z_/]+$/],
];

/** What makes a machine depend on the world: time, chance, the runtime. */
const WORLD: ReadonlySet<string> = new Set([
  "Deno",
  "Bun",
  "process",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "clearTimeout",
  "clearInterval",
  "performance",
  "crypto",
  "fetch",
  "console",
  "navigator",
  "Math.random",
  "Date.now",
  "new Date",
]);

/** What only the runtime may use besides: nothing asynchronous lives below it. */
const ASYNCHRONOUS: ReadonlySet<string> = new Set(["queueMicrotask", "Promise", "async"]);

/** Where the core meets the world, file by file, and what it needs there. */
const EXEMPT: readonly (readonly [path: string, names: readonly string[], why: string])[] = [
  [
    "core/runtime/environment.ts",
    ["performance", "setTimeout", "clearTimeout", "Date.now", "Math.random"],
    "the real environment",
  ],
  [
    "transports/memory/scheduler.ts",
    ["performance", "setTimeout", "clearTimeout", "setImmediate"],
    "the scheduler of real time, beside the virtual one",
  ],
  ["core/testing/conformance/", ["performance", "setTimeout"], "real adapters need real time"],
];

interface Import {
  readonly specifier: string;
  /** Path from the root; `undefined` for packages. */
  readonly target: string | undefined;
}

/** Everything that is wrong, one line each: the file, and what in it. */
export function violations(sources: Sources): string[] {
  const found: string[] = [];
  const graph = new Map<string, readonly string[]>();
  for (const [path, text] of sources) {
    const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
    const imports = importsOf(path, tree);
    graph.set(path, imports.flatMap(({ target }) => target ?? []));
    const lines = text.trimEnd().split("\n").length;
    if (lines > FILE_LINES_MAX) found.push(`${path}: it has ${lines} lines; the limit is ${FILE_LINES_MAX}`);
    for (const { specifier, target } of imports) {
      const why = target === undefined ? packageFault(path, specifier) : importFault(path, target);
      if (why !== "") found.push(`${path}: imports "${specifier}"; ${why}`);
      if (target !== undefined && inLibrary(path) && !sources.has(target)) {
        found.push(`${path}: imports "${specifier}"; there is no such file`);
      }
    }
    if (!inLibrary(path)) continue;
    for (const text of syntaxFaults(tree)) found.push(`${path}: ${text}`);
    for (const text of worldFaults(path, tree)) found.push(`${path}: ${text}`);
  }
  for (const cycle of cycles(graph)) found.push(`${cycle[0]}: imports itself through ${cycle.join(" -> ")}`);
  return found;
}

function inLibrary(path: string): boolean {
  return path === "mod.ts" || /^(core|transports|storage)\//.test(path);
}

function importsOf(path: string, tree: ts.SourceFile): Import[] {
  const imports: Import[] = [];
  const add = (node: ts.Node | undefined): void => {
    if (node === undefined || !ts.isStringLiteralLike(node)) return;
    const specifier = node.text;
    const target = specifier.startsWith(".") ? resolve(path, specifier) : undefined;
    imports.push({ specifier, target });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node.moduleSpecifier);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0]);
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return imports;
}

function resolve(path: string, specifier: string): string {
  const parts = path.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}

/** What is wrong with importing one file of the repository from another; `""` for nothing. */
function importFault(path: string, target: string): string {
  const room = /^core\/([^/]+)\//.exec(path)?.[1];
  const targetRoom = /^core\/([^/]+)\//.exec(target)?.[1];
  if (room !== undefined) {
    const allowed = CORE_ROOMS[room];
    if (allowed === undefined) return `core/${room} is no room of the architecture`;
    if (targetRoom === room || (targetRoom !== undefined && allowed.includes(targetRoom))) return "";
    // The simulator runs groups on the in-process network, in virtual time.
    if (room === "testing" && target.startsWith("transports/memory/")) return "";
    return `core/${room} may import only ${["itself", ...allowed.map((name) => `core/${name}`)].join(", ")}`;
  }
  const [adapter, kind] = /^(transport|storage)s?\/[^/]+\//.exec(path) ?? [];
  if (adapter === undefined || target.startsWith(adapter)) return "";
  const ports = PORTS[kind];
  if (ports.some((port) => target === port || (port.endsWith("/") && target.startsWith(port)))) return "";
  return `a ${kind} may import only itself, ${ports.join(" and ")}`;
}

function packageFault(path: string, specifier: string): string {
  if (!inLibrary(path)) return "";
  if (PACKAGES.some(([folder, packages]) => path.startsWith(folder) && packages.test(specifier))) return "";
  const users = PACKAGES.filter(([, packages]) => packages.test(specifier)).map(([folder]) => folder);
  return users.length === 0
    ? "the library does not depend on that"
    : `only ${users.join(" and ")} may import that`;
}

function syntaxFaults(tree: ts.SourceFile): string[] {
  const found: string[] = [];
  const at = (node: ts.Node): number => tree.getLineAndCharacterOfPosition(node.getStart()).line + 1;
  const visit = (node: ts.Node): void => {
    if (node.kind === ts.SyntaxKind.AnyKeyword) found.push(`uses the type any in line ${at(node)}`);
    if (ts.isEnumDeclaration(node)) found.push(`declares the enum ${node.name.text} in line ${at(node)}`);
    if (ts.isModuleDeclaration(node)) found.push(`declares a namespace in line ${at(node)}`);
    if (ts.isParameter(node) && ts.isParameterPropertyDeclaration(node, node.parent)) {
      found.push(`declares a parameter property in line ${at(node)}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

/** Uses of the world where the core must be pure. */
function worldFaults(path: string, tree: ts.SourceFile): string[] {
  if (!path.startsWith("core/") && !path.startsWith("transports/memory/")) return [];
  const exempt = new Set(EXEMPT.filter(([where]) => path.startsWith(where)).flatMap(([, names]) => names));
  const machine = /^core\/(?!runtime\/|testing\/)/.test(path);
  const found: string[] = [];
  for (const { name, line } of usesOf(tree)) {
    if (exempt.has(name)) continue;
    if (WORLD.has(name)) found.push(`touches ${name} in line ${line}; a driver gives it what it needs`);
    else if (machine && ASYNCHRONOUS.has(name)) {
      found.push(`uses ${name} in line ${line}; nothing below the runtime is asynchronous`);
    }
  }
  return found;
}

/** Global names used, and a few joined ones such as `Date.now`; never names of members, keys or locals' declarations. */
function usesOf(tree: ts.SourceFile): { name: string; line: number }[] {
  const uses: { name: string; line: number }[] = [];
  const visit = (node: ts.Node): void => {
    const line = tree.getLineAndCharacterOfPosition(node.getStart()).line + 1;
    if (ts.isIdentifier(node) && isReference(node)) uses.push({ name: node.text, line });
    else if (node.kind === ts.SyntaxKind.AsyncKeyword) uses.push({ name: "async", line });
    else if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression)) {
      const owner = node.expression.text;
      uses.push({ name: owner === "globalThis" ? node.name.text : `${owner}.${node.name.text}`, line });
    } else if (ts.isNewExpression(node) && ts.isIdentifier(node.expression) && node.arguments?.length === 0) {
      uses.push({ name: `new ${node.expression.text}`, line });
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return uses;
}

function isReference(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isQualifiedName(parent)) return parent.left === node;
  const named = parent as ts.Node & { readonly name?: ts.Node; readonly propertyName?: ts.Node };
  return named.name !== node && named.propertyName !== node || ts.isShorthandPropertyAssignment(parent);
}

/** Every cycle of imports, once: the files on the way. */
function cycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = [];
  const done = new Set<string>();
  const way: string[] = [];
  const visit = (path: string): void => {
    const at = way.indexOf(path);
    if (at >= 0) {
      found.push([...way.slice(at), path]);
      return;
    }
    if (done.has(path)) return;
    way.push(path);
    for (const target of graph.get(path) ?? []) visit(target);
    way.pop();
    done.add(path);
  };
  for (const path of graph.keys()) visit(path);
  return found;
}
