/**
 * The checkers of views, quorums, view synchrony and leaders. A broken history is found by what it breaks and nothing else.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkTrace, TRACE_PROPERTIES, type TraceProperty } from "../../core/testing/checkers/mod.ts";
import { broken, history, PAIR, TRIO } from "./histories.ts";

const test = suite("testing/views");

const GOOD: readonly (readonly [what: string, text: string])[] = [
  [
    "a group starts, grows and shrinks",
    TRIO + "c leave\n a view 3 a,b c:left\n b view 3 a,b c:left\n end a,b",
  ],
  [
    "the views of a new member start anywhere above",
    PAIR + "b crash\n a view 3 a b:crashed\n b join\n a view 4 a,b\n b view 4 a,b\n end a,b",
  ],
  [
    "a founder comes back alone",
    "a view 1 a\n a send m1\n a crash\n a view 1 a\n a send m2\n a deliver m2 a\n end a",
  ],
  [
    "a member with memory comes back into its view",
    PAIR + "b crash\n b view 2 a,b\n b view 3 a,b\n a view 3 a,b\n end a,b",
  ],
  [
    "a member with memory comes back into the next view",
    PAIR + "b crash\n b view 3 a,b\n a view 3 a,b\n end a,b",
  ],
  [
    "members fail one after the other, the senior last",
    TRIO +
    "c crash\n a view 3 a,b c:crashed\n b view 3 a,b c:crashed\n b crash\n a view 4 a b:crashed\n end a",
  ],
  [
    "half of the members left or were slow",
    TRIO + "b leave\n c evicted 2\n a view 3 a b:left,c:slow\n end a",
  ],
  [
    "a process comes back while its former life is still a member",
    TRIO +
    "a crash\n a join\n b view 3 b,c,a a:restarted\n c view 3 b,c,a a:restarted\n a view 3 b,c,a a:restarted\n end a,b,c",
  ],
  [
    "views are missing from the trace",
    "a view 3 a,b,c,d\n a view 4 a,b,c\n b view 4 a,b,c\n c join\n c view 6 c,d\n d join\n d view 6 c,d\n end a,b",
  ],
  ["the lines of nobody say who departed", TRIO + "c crash\n a view 3 a,b\n b view 3 a,b\n end a,b"],

  [
    "all deliver the rest before they move on",
    TRIO +
    "a send m1\n b deliver m1 a\n a deliver m1 a\n a view 3 a,b c:crashed\n c crash\n b view 3 a,b\n end a,b",
  ],
  [
    "who crashed had delivered more, and who was evicted less",
    TRIO +
    "c send m1\n c deliver m1 c\n c crash\n a send m2\n a deliver m2 a\n b evicted 2\n a view 3 a b:slow,c:crashed\n end a",
  ],
  [
    "a member that comes back with its memory had delivered before",
    PAIR +
    "a send m1\n b deliver m1 a\n b crash\n b view 2 a,b\n b replay m1 a\n a deliver m1 a\n a view 3 a,b\n b view 3 a,b\n end a,b",
  ],
  [
    "a process comes back by a join and nobody wrote down that it was killed",
    PAIR +
    "a view 3 a b:crashed\n a send m1\n a deliver m1 a\n b join\n b deliver m1 a\n a view 4 a,b\n b view 4 a,b\n end a,b",
  ],
  [
    "a joiner replays what its former life had",
    PAIR +
    "a send m1\n a deliver m1 a\n b deliver m1 a\n b crash\n a view 3 a b:crashed\n b join\n a view 4 a,b\n b view 4 a,b\n" +
    "b replay m1 a\n a view 5 a,b\n b view 5 a,b\n end a,b",
  ],
  [
    "a joiner delivers the tail before its first view",
    `a view 1 a\n a send m1\n a deliver m1 a\n b join\n a send m2\n a deliver m2 a\n b deliver m2 a\n a view 2 a,b
     b view 2 a,b\n end a,b`,
  ],
  [
    "what a joiner's snapshot covers is not delivered again",
    `a view 1 a\n a send m1\n a deliver m1 a\n b join\n a view 2 a,b\n b view 2 a,b\n a send m2\n a deliver m2 a
     b deliver m2 a\n end a,b`,
  ],

  ["each epoch has its leader", PAIR + "a epoch 2 a\n b epoch 2 a\n a leader 2\n b epoch 3\n end a,b"],
  [
    "a leader says so again after a restart with memory",
    PAIR + "a leader 2\n a crash\n a view 2 a,b\n a leader 2\n end a,b",
  ],
  ["a leader's view is not in the trace", "a leader 7\n b epoch 7 a\n end a,b"],
];

const BROKEN: readonly (readonly [what: string, breaks: readonly TraceProperty[], text: string])[] = [
  [
    "two nodes install a view with different members",
    ["views"],
    "a view 1 a\n b join\n a view 2 a,b\n b view 2 b,a\n end a,b",
  ],
  [
    "a view has more members at one node",
    ["views"],
    PAIR + "c join\n a view 3 a,b\n b view 3 a,b,c\n end a,b",
  ],
  ["two nodes found the group", ["views"], "a view 1 a\n b view 1 b\n end a,b"],
  ["a node installs a view that it is not in", ["views"], TRIO + "c view 3 a,b c:slow\n end a,b"],
  ["a view names a member twice", ["views"], "a view 1 a,a\n end a"],
  [
    "a node leaves out a view",
    ["views"],
    TRIO + "a view 3 a,b,c\n b view 3 a,b,c\n c view 3 a,b,c\n a view 5 a,b,c\n end a",
  ],
  ["a node goes back to the view before", ["views"], PAIR + "a view 3 a,b\n a view 2 a,b\n end a"],
  ["a node installs a view twice", ["views"], PAIR + "a view 2 a,b\n end a"],
  [
    "a joiner starts in a view that it had before",
    ["views"],
    PAIR + "b crash\n b join\n b view 2 a,b\n end a",
  ],
  ["a joiner starts below what it had before", ["views"], PAIR + "b evicted 2\n b join\n b view 1 a\n end a"],
  ["a founder starts another group", ["views"], PAIR + "a crash\n a view 1 a\n end a"],
  [
    "a crashed node comes back in an earlier view without a join",
    ["views"],
    PAIR + "a view 3 a,b\n b view 3 a,b\n b crash\n b view 2 a,b\n end a",
  ],
  ["an evicted node goes on without a join", ["views"], PAIR + "b evicted 2\n b view 3 a,b\n end a"],
  [
    "an evicted node goes on from view to view without a join",
    ["views"],
    PAIR +
    "b evicted 2\n b view 3 a,b\n a view 3 a,b\n a send m1\n a deliver m1 a\n a view 4 a,b\n b view 4 a,b\n end a",
  ],
  [
    "a node leaves out a view, and what was delivered before it",
    ["views"],
    PAIR + "a send m1\n a deliver m1 a\n a view 3 a,b\n a view 4 a,b\n b view 4 a,b\n end a",
  ],
  [
    "an evicted node is killed and comes back without a join",
    ["views"],
    PAIR + "b evicted 2\n b crash\n b view 3 a,b\n end a",
  ],
  ["a node that has left goes on without a join", ["views"], PAIR + "b leave\n b view 3 a,b\n end a"],
  [
    "two nodes are told different reasons",
    ["views"],
    TRIO + "a view 3 a,b c:slow\n b view 3 a,b c:left\n end a,b",
  ],
  ["somebody departs who was no member", ["views"], PAIR + "a view 3 a,b c:left\n b view 3 a,b\n end a,b"],
  ["somebody departs who stays", ["views"], PAIR + "a view 3 a,b b:slow\n b view 3 a,b\n end a,b"],

  ["a minority goes on", ["quorum"], TRIO + "a view 3 a b:crashed,c:crashed\n end a"],
  ["a minority goes on and gives no reasons", ["quorum"], TRIO + "a view 3 a\n end a"],
  ["half goes on without the senior member", ["quorum"], PAIR + "b view 3 b a:crashed\n end b"],
  [
    "half of four goes on without the senior member",
    ["quorum"],
    "a view 1 a,b,c,d\n b view 1 a,b,c,d\n c view 2 b,c\n b view 2 b,c\n end b,c",
  ],
  [
    "newcomers are counted",
    ["quorum"],
    TRIO + "d join\n e join\n a view 3 a,d,e\n d view 3 a,d,e\n e view 3 a,d,e\n end a,d,e",
  ],
  ["both halves go on", ["views", "quorum"], PAIR + "a view 3 a\n b view 3 b\n end a,b"],
  ["nobody goes on", ["quorum"], PAIR + "c join\n c view 3 c\n end c"],

  [
    "one of two misses a message before the next view",
    ["view-synchrony"],
    PAIR + "a send m1\n a deliver m1 a\n a view 3 a,b\n b view 3 a,b\n a crash\n end b",
  ],
  [
    "one of two delivers a message after the next view",
    ["view-synchrony"],
    PAIR + "a send m1\n a deliver m1 a\n a view 3 a,b\n b view 3 a,b\n b deliver m1 a\n end a,b",
  ],
  [
    "two deliver different messages of a crashed member",
    ["view-synchrony"],
    "a view 1 a,b,c,d\n b view 1 a,b,c,d\n c view 1 a,b,c,d\n d view 1 a,b,c,d\n c send m1\n d send m2\n a deliver m1 c\n" +
    "b deliver m2 d\n c crash\n d crash\n a view 2 a,b\n b view 2 a,b\n a crash\n end b",
  ],
  [
    "two go on although only one of them delivered, and both crash",
    ["view-synchrony"],
    TRIO + "a send m1\n b deliver m1 a\n b view 3 b,c\n c view 3 b,c\n a crash\n b crash\n c crash\n end a",
  ],
  [
    "a message of a crashed member is delivered in two views",
    ["view-synchrony"],
    TRIO + "c send m1\n c crash\n a deliver m1 c\n a view 3 a,b\n b view 3 a,b\n b deliver m1 c\n end a,b",
  ],
  [
    "what an evicted member delivered is delivered in a later view",
    ["view-synchrony"],
    TRIO +
    "a send m1\n c deliver m1 a\n c evicted 2\n a view 3 a,b\n b view 3 a,b\n a deliver m1 a\n b deliver m1 a\n end a,b",
  ],
  [
    "a joiner delivers in its first view what others delivered before",
    ["view-synchrony"],
    "a view 1 a\n a send m1\n a deliver m1 a\n b join\n a view 2 a,b\n b view 2 a,b\n b deliver m1 a\n end a,b",
  ],
  [
    "a joiner delivers in its tail what is not in the cut",
    ["view-synchrony"],
    TRIO +
    "c send m1\n c deliver m1 c\n d join\n d deliver m1 c\n c crash\n a view 3 a,b,d\n b view 3 a,b,d\n d view 3 a,b,d\n end a,b,d",
  ],
  [
    "a joiner delivers in its tail what others deliver in its first view",
    ["view-synchrony"],
    `a view 1 a\n b join\n a send m1\n b deliver m1 a\n a view 2 a,b\n b view 2 a,b\n a deliver m1 a\n a view 3 a,b
     b view 3 a,b\n end a,b`,
  ],

  ["two nodes lead one epoch", ["one-leader-per-epoch"], PAIR + "a leader 2\n b leader 2\n end a,b"],
  [
    "two nodes are told different leaders",
    ["one-leader-per-epoch"],
    PAIR + "a epoch 2 a\n b epoch 2 b\n end a,b",
  ],
  [
    "somebody else leads than was told",
    ["one-leader-per-epoch"],
    PAIR + "a epoch 2 a\n b leader 2\n end a,b",
  ],
  [
    "a new life leads the epoch of a former one",
    ["one-leader-per-epoch"],
    PAIR + "b leader 2\n b crash\n b join\n b leader 2\n end a",
  ],
  ["a node leads whose view it is not in", ["one-leader-per-epoch"], PAIR + "c leader 2\n end a,b"],
  ["a leader is told that is not in the view", ["one-leader-per-epoch"], PAIR + "a epoch 2 c\n end a,b"],
];

for (const [what, text] of GOOD) {
  test(`all checkers pass when ${what}`, () => {
    assert.equal(checkTrace(history(text), { properties: TRACE_PROPERTIES }), []);
  });
}

for (const [what, breaks, text] of BROKEN) {
  test(`${breaks.join(" and ")} is broken when ${what}`, () => {
    assert.equal(broken(history(text)), [...breaks]);
  });
}

test.run();
