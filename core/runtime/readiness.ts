/** Waiting until this process is in a view, with those whom it needs. */
import { TuttiError } from "../base/errors.ts";
import { MEMBERS_MAX } from "../base/ids.ts";
import type { GroupMachine } from "../group/machine.ts";
import type { Driver } from "./driver.ts";
import type { Environment } from "./environment.ts";
import { deadlineMs, DEFAULT_DEADLINE_MS, type ReadyOptions } from "./options.ts";
import { Waits } from "./waits.ts";

/** Refusals that are remembered. */
const REFUSALS_MAX = 8;

/** Callers that wait for members. */
export class Readiness {
  readonly #machine: GroupMachine;
  readonly #driver: Driver;
  readonly #environment: Environment;
  readonly #waits = new Waits<
    { readonly check: () => boolean; readonly accept: () => void; readonly all: boolean }
  >();
  #refusals: string[] = [];

  constructor(machine: GroupMachine, driver: Driver, environment: Environment) {
    this.#machine = machine;
    this.#driver = driver;
    this.#environment = environment;
  }

  /** Resolves when those that are wanted are there. */
  wait(options: ReadyOptions): Promise<void> {
    const wait = deadlineMs("wait for members", options, DEFAULT_DEADLINE_MS);
    const { members } = options;
    if (members !== undefined && typeof members !== "number" && !isNameList(members)) {
      throw new TuttiError(
        "InvalidArgument",
        "Cannot wait for members: members is neither a number nor a list of names",
      );
    }
    if (
      typeof members === "number" && !(Number.isInteger(members) && members >= 1 && members <= MEMBERS_MAX)
    ) {
      throw new TuttiError("InvalidArgument", `Cannot wait for ${members} members; use 1 to ${MEMBERS_MAX}`);
    }
    const names = typeof members === "object" ? members : [];
    const count = typeof members === "number" ? members : Math.max(1, this.#machine.state.config.expect);
    const present = (): string[] => this.#present();
    const check = (): boolean => {
      if (this.#machine.state.restoring) return false;
      const there = present();
      return names.length > 0 ? names.every((name) => there.includes(name)) : there.length >= count;
    };
    if (check()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const late = (): TuttiError => {
        const there = present();
        const wanted = names.length > 0 ? `members ${names.join(", ")}` : `${count} members`;
        const found = there.length > 0
          ? `there are ${there.join(", ")}`
          : "this process is not in a group yet";
        const refusals = this.#refusals.length > 0 ? ` (${this.#refusals.join("; ")})` : "";
        return new TuttiError(
          this.#refusals.length > 0 ? "Refused" : "DeadlineExceeded",
          `Cannot reach ${wanted} in time: ${found}${refusals}; check that all run and are configured alike`,
          { retryable: true },
        );
      };
      this.#waits.add({ check, accept: resolve, all: names.length === 0 }, reject, {
        what: "wait for members",
        deadlines: this.#driver.deadlines,
        deadlineAt: this.#environment.now() + wait,
        signal: options.signal,
        late,
      });
      this.#driver.wake();
    });
  }

  /** Somebody was refused, or refuses. @param concerns Whether that is why this process is not ready. */
  refused(text: string, concerns: boolean): void {
    this.#refusals.push(text);
    if (this.#refusals.length > REFUSALS_MAX) this.#refusals.shift();
    if (!concerns) return;
    // Who waits for certain members may not care for the one that is refused.
    const error = new TuttiError("Refused", `Cannot join: ${text}; configure all members alike`);
    this.#waits.rejectAll(error, (wait) => wait.all);
  }

  /** After every turn: whoever waits may have what it wants. */
  settle(): void {
    this.#waits.settle((wait) => wait.check(), (wait) => wait.accept());
  }

  /** Nobody will come any more. */
  stop(error: TuttiError): void {
    this.#waits.rejectAll(error);
  }

  /** Names of the members of the present view. */
  #present(): string[] {
    const { phase, roster } = this.#machine.state;
    return phase === "member" ? roster?.view.members.map(({ name }) => name) ?? [] : [];
  }
}

function isNameList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === "string" && name !== "");
}
