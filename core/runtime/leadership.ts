/** Leadership as an application sees it: an epoch, and a signal that ends it. */
import { TuttiError } from "../base/errors.ts";
import type { GroupMachine } from "../group/machine.ts";
import type { Driver } from "./driver.ts";
import type { Environment } from "./environment.ts";

/** This member leads. */
export interface Leadership {
  /** Number of the view: no other member ever leads in it, and every later leader has a higher one. */
  readonly epoch: number;
  /** Aborted the moment that leadership can no longer be sure: what the leader does on its own must stop then. */
  readonly signal: AbortSignal;
}

/** Watches over the present leadership. */
export class LeadershipHolder {
  readonly #machine: GroupMachine;
  readonly #driver: Driver;
  readonly #environment: Environment;
  #present: { readonly epoch: number; readonly controller: AbortController } | undefined = undefined;
  #cancel: () => void = () => {};

  constructor(machine: GroupMachine, driver: Driver, environment: Environment) {
    this.#machine = machine;
    this.#driver = driver;
    this.#environment = environment;
  }

  /** The present leadership of this member, while it is sure of it. */
  get(): Leadership | undefined {
    this.review();
    if (!this.#isSure()) return undefined;
    this.#present ??= { epoch: this.#machine.viewNumber, controller: new AbortController() };
    this.review();
    const { epoch, controller } = this.#present;
    return { epoch, signal: controller.signal };
  }

  /** Something has changed, or time has passed. */
  review(): void {
    const { epoch, controller } = this.#present ?? {};
    if (epoch === undefined || controller === undefined) return;
    this.#cancel();
    if (epoch === this.#machine.viewNumber && this.#isSure()) {
      this.#cancel = this.#driver.deadlines.set(this.#machine.watch.sureUntil(), () => this.review());
      return;
    }
    this.end(`leadership of epoch ${epoch} is no longer sure`);
  }

  /** It is over. */
  end(why: string): void {
    const controller = this.#present?.controller;
    this.#present = undefined;
    this.#cancel();
    controller?.abort(new TuttiError("NotPrimary", `Cannot lead: ${why}; wait for the next leader event`));
  }

  #isSure(): boolean {
    return this.#machine.watch.sureUntil() > this.#environment.now();
  }
}
