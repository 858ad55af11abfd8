/** Command lines: what is wrong with one is said in one line. */
import { Buffer } from "node:buffer";
import { parseArgs, type ParseArgsConfig } from "node:util";

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {}

/** What `parseArgs` makes of options that must be known and arguments beside them. */
type Parsed<T extends NonNullable<ParseArgsConfig["options"]>> = ReturnType<
  typeof parseArgs<{ options: T; allowPositionals: true; strict: true }>
>;

/**
 * Takes a command line apart.
 *
 * @throws {UsageError}
 */
export function readArguments<T extends NonNullable<ParseArgsConfig["options"]>>(
  args: readonly string[],
  options: T,
): Parsed<T> {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    // Its texts go on with advice after the first sentence.
    const [sentence] = (error as Error).message.split(/\. |\n/);
    throw new UsageError(shorten(sentence));
  }
}

/** An option that has a few values. @throws {UsageError} */
export function oneOf<T extends string>(option: string, given: string, choices: readonly T[]): T {
  const choice = choices.find((each) => each === given);
  if (choice !== undefined) return choice;
  throw new UsageError(
    `--${option} ${quote(given)} is unknown; use ${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`,
  );
}

/** An option that is a whole number of milliseconds. @throws {UsageError} */
export function milliseconds(
  option: string,
  given: string,
  [least, most]: readonly [number, number],
): number {
  const value = /^\d{1,9}$/.test(given) ? Number(given) : -1;
  if (value >= least && value <= most) return value;
  throw new UsageError(
    `--${option} ${quote(given)} is not a number of milliseconds from ${least} to ${most}`,
  );
}

/** A name that the library takes. @throws {UsageError} */
export function checkName(what: string, name: string, bytesMax: number): void {
  const printable = /^[\p{L}\p{M}\p{N}\p{P}\p{S}]+$/u;
  if (name.length <= bytesMax && Buffer.byteLength(name) <= bytesMax && printable.test(name)) return;
  throw new UsageError(`the ${what} ${quote(name)} is not 1 to ${bytesMax} bytes of text without spaces`);
}

/** Some text that somebody typed, for people. */
export function quote(text: string): string {
  return JSON.stringify(shorten(text));
}

function shorten(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}

/** An error in one line. */
export function textOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s*\n\s*/g, " ");
}
