"""The story world: small stories whose every probability is known exactly.

Real text never tells us how good a model *could* be. Here the text comes from a grammar that we
wrote, so the right answer is known: the distribution of the next word after any beginning, the
probability of any story, the entropy that no model can beat, and the words that can stand in a gap.

How it works, in three steps:

1. **The grammar** (`GRAMMAR`, below) is a list of choices. A story remembers what it chose: its
   hero, place, thing and tense. Later words are looked up under what is remembered, so a word near
   the end can depend on a word sixty tokens back.
2. **The automaton.** What can still happen depends only on the symbols not yet spoken and on what
   is remembered *and still needed*: a situation. Saying a word moves to the next one. Some choices
   are silent (who lost the thing?), so a reader holds several situations possible at once. Such a
   *belief*, situations with their probabilities, is one state of the compiled automaton (the subset
   construction). So the words alone decide the state: the automaton is deterministic.
3. **Dynamic programming.** In state s the next word has the probability written on its edge.
   The log-probability of a story is the sum along its path. With v(s) the expected number of visits
   to s in a story and h(s) the entropy of its edges, a story has Σ v(s) h(s) nats: no sampling.

A text is a sequence of stories, each closed by `END`. All probabilities are conditional on the text
starting at the beginning of a story. Alternatives stand in order of frequency: the r-th of n has a
weight of 1/r (Zipf's law).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Float, Int

from course_lib.errors import CourseError

END = "<end>"

# --- The grammar ----------------------------------------------------------------------------------
#
#   word          says the word
#   <rule>        one alternative of the rule; alternatives are separated by |, the likeliest first
#   <rule:x>      the same, from the list for what is remembered as x
#   x=rule        remembers an alternative (one word) as x, and says nothing; also x=rule:y
#   {x}           says what is remembered as x; {x~number} its plural where `number` is many
#   bark~number   the verb in the story's tense, singular or plural as `number` says; bark~ is
#                 singular, bark~many plural
#   _             nothing

Rule = str | dict[str, str]

GRAMMAR: dict[str, Rule] = {
    "story": "tense=tense <opening> <finding> <scene> <interlude> owner=owner <clue> <return> "
    "<evening>",
    "tense": "past | present",
    # Who and where
    "opening": "<when:tense> , hero=person {hero} place=place <travel:place> <company> . "
    "<portrait>",
    "when": {
        "past": "one day | yesterday | last summer | long ago",
        "present": "today | this morning | right now",
    },
    "person": "Mia | Tom | Anna | Ben",
    "she": {"Mia": "she", "Anna": "she", "Tom": "he", "Ben": "he"},
    "her": {"Mia": "her", "Anna": "her", "Tom": "his", "Ben": "his"},
    "him": {"Mia": "her", "Anna": "her", "Tom": "him", "Ben": "him"},
    "child": {"Mia": "girl", "Anna": "girl", "Tom": "boy", "Ben": "boy"},
    "daughter": {"Mia": "daughter", "Anna": "daughter", "Tom": "son", "Ben": "son"},
    "place": "forest | lake | market | farm | mountain",
    "travel": {
        "forest": "walk~ to the forest | ride~ through the forest | follow~ a path into the forest",
        "lake": "walk~ to the lake | row~ across the lake | swim~ in the lake",
        "market": "walk~ to the market | run~ to the market | cycle~ to the market",
        "farm": "walk~ to the farm | cycle~ to the farm | visit~ the farm",
        "mountain": "walk~ to the mountain | climb~ the mountain | ride~ up the mountain",
    },
    "company": "_ | with <her:hero> <relative> | alone",
    "relative": "mother | brother | father | sister | grandmother | cousin | uncle | neighbour",
    "portrait": "_ | <she:hero> are~ a <trait> <child:hero> . | <she:hero> are~ the "
    "<daughter:hero> of a <job> .",
    "trait": "brave | curious | cheerful | quiet | clever | patient | stubborn | polite | shy",
    "job": "sailor | doctor | farmer | tailor | king | soldier | poet",
    # The thing that somebody lost
    "finding": "<there> <she:hero> <spot> a <look> thing=thing:place {thing} <where> . <keeping>",
    "there": "there | suddenly | soon | at noon",
    "spot": "find~ | see~ | pick~ up | stumble~ over",
    "look": "small | silver | strange | heavy | rusty | beautiful | broken | golden | tiny | wet | "
    "precious | round",
    "thing": {
        "forest": "key | lantern",
        "lake": "whistle | key",
        "market": "purse | ring",
        "farm": "bell | purse",
        "mountain": "ring | bell",
    },
    "where": "_ | in the <ground> | under a <furniture> | behind a <furniture>",
    "ground": "grass | dust | mud | sand | ditch",
    "furniture": "bench | stone | bush | ladder | barrel | statue | hedge",
    "keeping": "_ | <she:hero> put~ it in <her:hero> <bag> . | “ <wonder> ” <she:hero> <speak> .",
    "bag": "pocket | bag | basket | hat | sleeve",
    "wonder": "who lost this ? | how lucky ! | what is this ? | this is not mine ,",
    "speak": "say~ | think~ | whisper~ | wonder~ | murmur~",
    # Animals: what they do depends on which they are, the verb on how many
    "scene": "animal=animal:place number=number <some:number> <mood> {animal~number} <which> "
    "<act:animal> .",
    "animal": {
        "forest": "fox | squirrel | bear",
        "lake": "duck | frog | swan",
        "market": "cat | dog | pigeon",
        "farm": "dog | horse | hen",
        "mountain": "goat | hawk | fox",
    },
    "number": "one | many",
    "some": {"one": "the | a", "many": "the | two | some"},
    "mood": "_ | hungry | young | noisy | little | white | lazy | wild | brown | shy | clever",
    "which": "_ | near the <landmark> | that live~number behind the <landmark> | that <she:hero> "
    "feed~ | that are~number tired",
    "landmark": "old <building> | <growth>",
    "building": "barn | mill | wall | bridge | tower",
    "growth": "trees | houses | roses | willows | gates",
    "act": {
        "cat": "catch~number <catch> | sleep~number in the sun | chase~number a <prey>",
        "dog": "bark~number at the <passer> | chase~number a cat | dig~number a deep hole",
        "pigeon": "eat~number crumbs | fly~number over the roofs | drop~number a feather",
        "fox": "hunt~number mice | hide~number in the bushes | steal~number a hen",
        "squirrel": "gather~number nuts | climb~number a tall oak | hide~number acorns",
        "bear": "eat~number honey | sleep~number in a cave | catch~number a fish",
        "duck": "swim~number in a circle | dive~number for worms | eat~number crumbs",
        "frog": "jump~number into the water | sing~number loudly | catch~number flies",
        "swan": "glide~number over the water | guard~number the nest | eat~number reeds",
        "horse": "gallop~number across the field | eat~number hay | pull~number a cart",
        "hen": "lay~number white eggs | peck~number at the corn | look~number for worms",
        "goat": "climb~number over the rocks | eat~number thistles | jump~number over a stream",
        "hawk": "circle~number in the sky | hunt~number mice | guard~number the nest",
    },
    "passer": "postman | moon | visitors | thunder | wheels | milkman | stranger",
    "prey": "bird | butterfly | shadow | leaf | mouse | sparrow",
    "catch": "mice | rats | moths",
    # Perhaps something else happens
    "interlude": "_ | <she:hero> <busy> . | <scene>",
    "busy": "sing~ a <song> | eat~ an <snack> | count~ the <countless> | draw~ a <sketch>",
    "song": "song | lullaby | hymn | tune",
    "sketch": "map | bridge | ship | face | castle",
    "snack": "apple | orange | onion | egg",
    "countless": "clouds | steps | birds | minutes | trees | stars",
    # Hints: the owner was chosen silently; these words only make some owners likelier
    "owner": "baker | gardener | painter | teacher",
    "clue": "the lost thing smell~ of <smell:owner> . | there are~ <stain:owner> on the lost "
    "thing .",
    "stain": {
        "baker": "flour | butter | chalk",
        "gardener": "mud | paint | flour",
        "painter": "paint | ink | mud",
        "teacher": "chalk | ink | butter",
    },
    "smell": {
        "baker": "bread | honey | roses",
        "gardener": "roses | smoke | honey",
        "painter": "oil | smoke | paper",
        "teacher": "paper | bread | oil",
    },
    # The thing goes back
    "return": "<later> <she:hero> meet~ the {owner} . <talk> {hero} give~ the {thing} <back> . "
    "<thanks>",
    "later": "later | afterwards | at last | in the village",
    "talk": "_ | “ <plea> , ” say~ the {owner} . | “ <question> ? ” <she:hero> ask~ . "
    "“ <answer> ! ” <cry> the {owner} .",
    "plea": "I have lost something | please help me | somebody took it from my <room:owner>",
    "room": {
        "baker": "kitchen | shop",
        "gardener": "garden | greenhouse",
        "painter": "studio | shop",
        "teacher": "school | library",
    },
    "question": "is this yours | do you know this | have you lost something",
    "answer": "yes | of course | thank you | indeed",
    "cry": "cry~ | shout~ | laugh~ | answer~",
    "back": "back | to the {owner} | back with a smile",
    "thanks": "_ | the {owner} are~ <glad> and offer~ <him:hero> <gift:owner> .",
    "glad": "happy | grateful | surprised | delighted | moved | speechless | relieved",
    "gift": {
        "baker": "a warm loaf | a sweet cake | three buns",
        "gardener": "a red rose | ripe pears | a bag of seeds",
        "painter": "a small picture | a soft brush | blue paint",
        "teacher": "a thick book | a pencil | a good lesson",
    },
    # The place of the first sentence decides the weather of the last
    "evening": "<dusk> <weather:place> , and {hero} <rest> .",
    "dusk": "that evening | at night | at dusk",
    "weather": {
        "forest": "the wind shake~ the leaves | an owl call~ | the wind blow~ from the north",
        "lake": "mist cover~ the shore | waves wash~many over the sand | mist drift~ away",
        "market": "rain wash~ the streets | lamps glow~many in the windows | rain start~ to fall",
        "farm": "stars shine~many over the fields | a rooster crow~ | stars fill~many the sky",
        "mountain": "snow fall~ on the peaks | thunder roll~ far away | snow hide~ the path",
    },
    "rest": "sleep~ well | go~ to bed | dream~ | tell~ <her:hero> <relative> everything | "
    "write~ it all down",
}

# "plural present, singular present, past" of every verb ("are" has a fourth, the plural past).
VERBS = """
answer answers answered, are is was were, ask asks asked, bark barks barked, blow blows blew,
call calls called, catch catches caught, chase chases chased, circle circles circled,
climb climbs climbed, count counts counted, cover covers covered, crow crows crowed,
cry cries cried, cycle cycles cycled, dig digs dug, dive dives dived, draw draws drew,
dream dreams dreamt, drift drifts drifted, drop drops dropped, eat eats ate, fall falls fell,
feed feeds fed, fill fills filled, find finds found, fly flies flew, follow follows followed,
gallop gallops galloped, gather gathers gathered, give gives gave, glide glides glided,
glow glows glowed, go goes went, guard guards guarded, hide hides hid, hunt hunts hunted,
jump jumps jumped, laugh laughs laughed, lay lays laid, live lives lived, look looks looked,
meet meets met, murmur murmurs murmured, offer offers offered, peck pecks pecked, pick picks picked,
pull pulls pulled, put puts put, ride rides rode, roll rolls rolled, row rows rowed, run runs ran,
say says said, see sees saw, shake shakes shook, shine shine shone, shout shouts shouted,
sing sings sang, sleep sleeps slept, smell smells smelled, start starts started, steal steals stole,
stumble stumbles stumbled, swim swims swam, tell tells told, think thinks thought,
visit visits visited, walk walks walked, wash washes washed, whisper whispers whispered,
wonder wonders wondered, write writes wrote
"""
IRREGULAR_PLURALS = {"fox": "foxes"}


# --- From rules to words --------------------------------------------------------------------------

Symbols = tuple[str, ...]  # what is still to be spoken
Memory = tuple[tuple[str, str], ...]  # (name, value) of what is remembered
Step = tuple[str, float, int]  # a word, its probability, the number of the situation after it


def alternatives(rule: str) -> list[tuple[Symbols, float]]:
    """The alternatives of a line of the grammar, as symbols, and their probabilities (∝ 1/rank)."""
    bodies = [tuple(s for s in body.split() if s != "_") for body in rule.split("|")]
    total = sum(1 / rank for rank in range(1, len(bodies) + 1))
    return [(body, 1 / rank / total) for rank, body in enumerate(bodies, start=1)]


def inflect_noun(noun: str, number: str) -> str:
    """The noun in the singular (number "one") or the plural ("many")."""
    return noun if number == "one" else IRREGULAR_PLURALS.get(noun, noun + "s")


_VERB_FORMS = {forms.split()[0]: forms.split() for forms in VERBS.split(",")}


def inflect_verb(verb: str, number: str, tense: str) -> str:
    """The form of a verb of `VERBS`, looked up by its plural, for a subject in the third person."""
    plural, singular, past, *past_plural = _VERB_FORMS[verb]
    if tense == "past":
        return past_plural[0] if past_plural and number == "many" else past
    return singular if number == "one" else plural


class _Expander:
    """Runs a grammar one word at a time: `steps(situation)` lists what can be said next.

    A situation is the symbols still to be spoken and what is remembered of use to them. Situations
    are numbered as they turn up: numbers are quicker to compare.
    """

    def __init__(self, grammar: dict[str, Rule]):
        self.grammar = grammar
        self.alternatives = lru_cache(maxsize=None)(alternatives)
        self.needed = lru_cache(maxsize=None)(self._needed)
        self.situations: list[tuple[Symbols, Memory]] = []
        self.numbers: dict[tuple[Symbols, Memory], int] = {}
        self.known_steps: dict[int, list[Step]] = {}
        self.start = self._number((("<story>",), ()))
        self.needed(("<story>",))  # follows every rule, so it finds those that call themselves

    def steps(self, situation: int) -> list[Step]:
        """Every way to say one more word: (word, probability, situation after it)."""
        if situation not in self.known_steps:
            symbols, remembered = self.situations[situation]
            self.known_steps[situation] = list(self._steps(symbols, dict(remembered), 1.0))
        return self.known_steps[situation]

    def _steps(self, symbols: Symbols, memory: dict[str, str], chance: float) -> Iterator[Step]:
        if not symbols:
            yield END, chance, self.start
            return
        symbol, rest = symbols[0], symbols[1:]
        if "=" in symbol:
            name, rule = symbol.split("=")
            for value, p in self.alternatives(self._line(rule, memory)):
                yield from self._steps(rest, {**memory, name: " ".join(value)}, chance * p)
        elif symbol[0] == "<":
            for body, p in self.alternatives(self._line(symbol[1:-1], memory)):
                yield from self._steps(body + rest, memory, chance * p)
        else:
            kept = tuple((name, memory[name]) for name in self.needed(rest) if name in memory)
            yield self._word(symbol, memory), chance, self._number((rest, kept))

    def _number(self, situation: tuple[Symbols, Memory]) -> int:
        if situation not in self.numbers:
            self.numbers[situation] = len(self.situations)
            self.situations.append(situation)
        return self.numbers[situation]

    def _line(self, reference: str, memory: dict[str, str]) -> str:
        """The alternatives that `rule` or `rule:x` refers to, given what is remembered."""
        name, _, key = reference.partition(":")
        rule = self._rule(name)
        if not key:
            return rule
        if memory.get(key) not in rule:
            raise CourseError(
                f"the grammar finds nothing for {reference!r} when {key} is {memory.get(key)!r}; "
                f"give the rule a line for it, or remember {key} earlier"
            )
        return rule[memory[key]]

    def _rule(self, name: str) -> Rule:
        if name not in self.grammar:
            raise CourseError(f"the grammar has no rule {name!r}; add it or correct its name")
        return self.grammar[name]

    def _word(self, symbol: str, memory: dict[str, str]) -> str:
        if symbol[0] == "{":
            name, _, number = symbol[1:-1].partition("~")
            return inflect_noun(memory[name], memory[number]) if number else memory[name]
        verb, tilde, number = symbol.partition("~")
        if not tilde:
            return symbol
        return inflect_verb(verb, memory.get(number, number or "one"), memory["tense"])

    def _needed(self, symbols: Symbols, after: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """The names, sorted, that the symbols look up before they are remembered anew (liveness).

        `after` are the names that will be looked up once all the symbols are spoken.
        """
        names = set(after)
        for symbol in reversed(symbols):
            if "=" in symbol:
                name, rule = symbol.split("=")
                names -= {name}
                names |= {rule.partition(":")[2]}
            elif symbol[0] == "<":
                name, _, key = symbol[1:-1].partition(":")
                rule = self._rule(name)
                lines = rule.values() if isinstance(rule, dict) else [rule]
                bodies = [body for line in lines for body, _ in self.alternatives(line)]
                later = frozenset(names)
                names = {key}.union(*(self.needed(body, later) for body in bodies))
            elif symbol[0] == "{":
                names |= set(symbol[1:-1].split("~"))
            elif "~" in symbol:
                names |= {"tense", symbol.partition("~")[2]}
        return tuple(sorted(names - {""}))


# --- The story world ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class StoryWorld:
    """A language of stories as a deterministic automaton. Make one with `story_world()`.

    State 0 is the beginning of a story; every `END` leads back to it. The edges of state s are
    numbers `first_edge[s]` up to `first_edge[s + 1]`, by descending probability. Entropies and log
    probabilities are in nats. Every method raises CourseError for a text outside the language.
    """

    vocabulary: tuple[str, ...]  # END first, then the words and marks in alphabetical order
    first_edge: Int[np.ndarray, " states_and_end"]
    edge_token: Int[np.ndarray, " edges"]
    edge_prob: Float[np.ndarray, " edges"]
    edge_target: Int[np.ndarray, " edges"]  # the state that the token leads to

    @classmethod
    def from_grammar(cls, grammar: dict[str, Rule]) -> "StoryWorld":
        """Compile a grammar that starts from its rule "story" (subset construction on beliefs).

        The grammar must not call a rule from itself: stories have a longest one.
        """
        try:
            expander = _Expander(grammar)
        except RecursionError:
            raise CourseError(
                "a rule of the grammar calls itself, so stories could go on for ever; "
                "write its repetitions out as alternatives"
            ) from None
        belief_0 = ((expander.start, 1.0),)
        states, queue, edges = {belief_0: 0}, [belief_0], []
        for source, belief in enumerate(queue):  # grows while we walk it
            said: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
            for situation, chance in belief:
                for word, p, following in expander.steps(situation):
                    said[word][following] += chance * p
            rows = []
            for word, weights in said.items():
                total = sum(weights.values())
                following = tuple((s, w / total) for s, w in sorted(weights.items()))
                key = tuple((s, round(p, 12)) for s, p in following)  # equal but for rounding
                if key not in states:
                    states[key] = len(states)
                    queue.append(following)
                rows.append((source, word, total, states[key]))
            edges.extend(sorted(rows, key=lambda row: (-row[2], row[1])))

        vocabulary = (END, *sorted({word for _, word, _, _ in edges} - {END}))
        ids = {word: i for i, word in enumerate(vocabulary)}
        sources, words, probs, targets = zip(*edges, strict=True)
        return cls(
            vocabulary=vocabulary,
            first_edge=np.searchsorted(sources, np.arange(len(states) + 1)),
            edge_token=np.array([ids[word] for word in words], dtype=np.int64),
            edge_prob=np.array(probs),
            edge_target=np.array(targets, dtype=np.int64),
        )

    # Words and ids

    @property
    def vocab_size(self) -> int:
        return len(self.vocabulary)

    @property
    def n_states(self) -> int:
        return len(self.first_edge) - 1

    def encode(self, text: str) -> Int[np.ndarray, " tokens"]:
        """Ids of a text in which every story ends with a line break; inverse of `decode`."""
        tokens = []
        for word in re.findall(r"\n|[.,!?“”]|[^\s.,!?“”]+", text):
            word = END if word == "\n" else word
            token = self._ids.get(word, self._ids.get(word[0].lower() + word[1:]))
            if token is None:
                raise CourseError(
                    f"the story world has no word {word!r}; its {self.vocab_size} words are in "
                    "`.vocabulary`"
                )
            tokens.append(token)
        return np.array(tokens, dtype=np.int64)

    def decode(self, tokens: Int[np.ndarray, " tokens"]) -> str:
        """Readable text: capitals, spaces around marks as in print, a line break for each `END`."""
        text, sentence_begins = "", True
        for word in (self.vocabulary[token] for token in tokens):
            if word == END:
                text, sentence_begins = text + "\n", True
                continue
            if text and text[-1] not in "\n“" and word not in {".", ",", "!", "?", "”"}:
                text += " "
            text += word[0].upper() + word[1:] if sentence_begins else word
            sentence_begins = word in {".", "“"}
        return text

    # What comes next

    def next_token_distribution(
        self, prefix: Int[np.ndarray, " prefix"]
    ) -> Float[np.ndarray, " vocab"]:
        """The exact distribution of the token that follows the prefix (empty: the first word)."""
        return self._rows(self._path(prefix)[-1:])[0]

    def next_token_distributions(
        self, tokens: Int[np.ndarray, " tokens"]
    ) -> Float[np.ndarray, "tokens vocab"]:
        """Exact distributions all along a text: row i is that of `tokens[i]` given those before it.

        The text may hold many stories. A row takes 8 bytes a word: pass a batch, not a corpus.
        """
        return self._rows(self._path(tokens)[:-1])

    def token_log_probs(self, tokens: Int[np.ndarray, " tokens"]) -> Float[np.ndarray, " tokens"]:
        """Log-probability of each token given all those before it, in nats."""
        path = self._path(tokens)
        chances = [self._moves[s][t][0] for s, t in zip(path[:-1], tokens.tolist(), strict=True)]
        return np.log(np.array(chances))

    def log_prob(self, tokens: Int[np.ndarray, " tokens"]) -> float:
        """Log-probability of a text, in nats. A story counts as finished if it ends with `END`."""
        return float(self.token_log_probs(tokens).sum())

    def _path(self, tokens: Int[np.ndarray, " tokens"]) -> list[int]:
        """The states before, between and after the tokens."""
        path, moves = [0], self._moves
        for i, token in enumerate(tokens.tolist()):
            move = moves[path[-1]].get(token)
            if move is None:
                raise CourseError(self._why_not(path[-1], i, token, tokens))
            path.append(move[1])
        return path

    def _why_not(self, state: int, i: int, token: int, tokens: Int[np.ndarray, " tokens"]) -> str:
        if not 0 <= token < self.vocab_size:
            return f"token {i} is {token}; ids end at {self.vocab_size - 1}: use `.encode(text)`"
        before = " ".join(self.vocabulary[t] for t in tokens[max(0, i - 5) : i])
        possible = [self.vocabulary[t] for t in list(self._moves[state])[:5]]
        return (
            f"the text leaves the story world at token {i}, {self.vocabulary[token]!r}, "
            f"after “{before}”; there it may go on with {', '.join(map(repr, possible))}"
            f"{' …' if len(self._moves[state]) > 5 else ''}"
        )

    def _rows(self, states: Sequence[int]) -> Float[np.ndarray, "states vocab"]:
        """The next-token distribution in each of the states."""
        at = np.asarray(states, dtype=np.int64)
        first = self.first_edge[at]
        counts = self.first_edge[at + 1] - first
        row = np.repeat(np.arange(len(states)), counts)  # of each edge that is needed
        edge = np.arange(counts.sum()) + np.repeat(first - (counts.cumsum() - counts), counts)
        rows = np.zeros((len(states), self.vocab_size))
        rows[row, self.edge_token[edge]] = self.edge_prob[edge]
        return rows

    # What agrees with what

    def first_difference(
        self, story: Int[np.ndarray, " story"], position: int, replacement: int
    ) -> tuple[int, int] | None:
        """Where a story betrays that one of its tokens was not the replacement.

        Returns the first later position whose token would have probability zero had `position` held
        the replacement, and a token that could then stand there but cannot here: the one of the
        same rank, so that "sings" is paired with "sing". None if the replacement is itself
        impossible, is never betrayed, or allows nothing new.
        """
        path, moves = self._path(story), self._moves
        if replacement not in moves[path[position]]:
            return None
        state = moves[path[position]][replacement][1]
        for i in range(position + 1, len(story)):
            token = int(story[i])
            if token not in moves[state]:
                ours = [t for t in moves[path[i]] if t not in moves[state]]  # likeliest first
                theirs = [t for t in moves[state] if t not in moves[path[i]]]
                return (i, theirs[min(ours.index(token), len(theirs) - 1)]) if theirs else None
            state = moves[state][token][1]
        return None

    # What stands in a gap

    def masked_distribution(
        self, tokens: Int[np.ndarray, " tokens"], position: int
    ) -> Float[np.ndarray, " vocab"]:
        """The exact distribution of the token at one position, given all others on both sides."""
        return self.masked_distributions(tokens, [position])[0]

    def masked_distributions(
        self, tokens: Int[np.ndarray, " tokens"], positions: Iterable[int]
    ) -> Float[np.ndarray, "positions vocab"]:
        """The exact distribution of the token at each position, given only the tokens elsewhere.

        The tokens at the positions themselves are never read. This is what a perfect BERT says when
        all the positions show [MASK]. Forward-backward: how probable it is to reach each state from
        the left, times how probable the rest is from there.
        """
        positions = [int(position) for position in positions]
        masked = set(positions)
        for position in masked:
            if not 0 <= position < len(tokens):
                raise CourseError(
                    f"position {position} is outside the text; give one from 0 to {len(tokens) - 1}"
                )
        layers = [{0: 1.0}]  # probability of each state given the tokens so far, masked ones summed
        for i, token in enumerate(tokens.tolist()):
            layer: dict[int, float] = defaultdict(float)
            for state, reached in layers[-1].items():
                for _, p, target in self._moves_at(state, None if i in masked else token):
                    layer[target] += reached * p
            total = sum(layer.values())
            if total == 0:
                state = next(iter(layers[-1]))
                raise CourseError(self._why_not(state, i, token, tokens))
            layers.append({state: reached / total for state, reached in layer.items()})

        found: dict[int, Float[np.ndarray, " vocab"]] = {}
        ahead = dict.fromkeys(layers[-1], 1.0)  # ∝ probability of the tokens to come, by state
        for i in reversed(range(len(tokens))):
            token = None if i in masked else int(tokens[i])
            weights: dict[int, float] = defaultdict(float)
            behind: dict[int, float] = defaultdict(float)
            for state, reached in layers[i].items():
                for said, p, target in self._moves_at(state, token):
                    behind[state] += p * ahead[target]
                    weights[said] += reached * p * ahead[target]
            if i in masked:
                found[i] = np.zeros(self.vocab_size)
                found[i][list(weights)] = np.array(list(weights.values())) / sum(weights.values())
            largest = max(behind.values())
            ahead = defaultdict(float, {state: p / largest for state, p in behind.items()})
        return np.array([found[i] for i in positions]).reshape(len(positions), self.vocab_size)

    def _moves_at(self, state: int, token: int | None) -> Iterable[tuple[int, float, int]]:
        """(token, probability, target) of a state's moves: of one token or, for None, of all."""
        moves = self._moves[state]
        if token is None:
            return ((said, p, target) for said, (p, target) in moves.items())
        return ((token, *moves[token]),) if token in moves else ()

    # Averages over all stories

    @cached_property
    def lengths(self) -> Float[np.ndarray, " lengths"]:
        """Entry n is the exact probability that a story has n tokens, its `END` included."""
        return self._visits_and_lengths[1]

    @property
    def mean_length(self) -> float:
        """Expected number of tokens in a story, its `END` included."""
        return float(self._visits_and_lengths[0].sum())

    @cached_property
    def entropy_per_story(self) -> float:
        """Entropy of a story in nats: Σ over states of expected visits × entropy of the next."""
        surprise = self._visits_and_lengths[0][self._edge_source] * self.edge_prob
        return float(-(surprise * np.log(self.edge_prob)).sum())

    @property
    def entropy_per_token(self) -> float:
        """Nats per token in a long text of many stories: the loss of a perfect model of it.

        A ratio of expectations, entropy of a story / expected length (renewal theorem).
        """
        return self.entropy_per_story / self.mean_length

    @cached_property
    def _visits_and_lengths(
        self,
    ) -> tuple[Float[np.ndarray, " states"], Float[np.ndarray, " lengths"]]:
        """Push the probability of one story through the automaton, a token at a time."""
        inside = self.edge_token != 0  # edges other than END
        at = np.zeros(self.n_states)
        at[0] = 1.0
        ends = np.bincount(
            self._edge_source[~inside], weights=self.edge_prob[~inside], minlength=self.n_states
        )
        visits, lengths = np.zeros(self.n_states), [0.0]
        while at.any():
            visits += at
            lengths.append(at @ ends)
            flow = at[self._edge_source[inside]] * self.edge_prob[inside]
            at = np.bincount(self.edge_target[inside], weights=flow, minlength=self.n_states)
        return visits, np.array(lengths)

    # Sampling

    def sample(self, n_stories: int, seed: int) -> list[Int[np.ndarray, " story"]]:
        """Draw stories, each closed by `END`; the same seed draws the same stories.

        All stories advance together. `ladder[e]` is the source of edge e plus the probability of
        that state's edges up to e, so that one binary search for state + u finds the edge drawn.
        """
        rng = np.random.default_rng(seed)
        state = np.zeros(n_stories, dtype=np.int64)
        story = np.arange(n_stories)  # which stories are still unfinished
        columns: list[tuple[np.ndarray, np.ndarray]] = []
        while len(story):
            edge = np.searchsorted(self._ladder, state + rng.random(len(story)), side="right")
            edge = np.minimum(edge, self.first_edge[state + 1] - 1)  # u so near 1 that it rounds up
            token = self.edge_token[edge]
            columns.append((story, token))
            story, state = story[token != 0], self.edge_target[edge][token != 0]
        stories: list[list[int]] = [[] for _ in range(n_stories)]
        for members, tokens in columns:
            for i, token in zip(members.tolist(), tokens.tolist(), strict=True):
                stories[i].append(token)
        return [np.array(tokens, dtype=np.int64) for tokens in stories]

    # Tables derived from the fields

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.vocabulary)}

    @cached_property
    def _edge_source(self) -> Int[np.ndarray, " edges"]:
        return np.repeat(np.arange(self.n_states), np.diff(self.first_edge))

    @cached_property
    def _ladder(self) -> Float[np.ndarray, " edges"]:
        total = np.concatenate([[0.0], self.edge_prob.cumsum()])
        return self._edge_source + total[1:] - total[self.first_edge[self._edge_source]]

    @cached_property
    def _moves(self) -> list[dict[int, tuple[float, int]]]:
        """For each state: token -> (probability, target)."""
        moves: list[dict[int, tuple[float, int]]] = [{} for _ in range(self.n_states)]
        columns = (self._edge_source, self.edge_token, self.edge_prob, self.edge_target)
        for source, token, p, target in zip(*(c.tolist() for c in columns), strict=True):
            moves[source][token] = (p, target)
        return moves


@lru_cache(maxsize=1)
def story_world() -> StoryWorld:
    """The story world of the book, compiled once a process (a few seconds)."""
    return StoryWorld.from_grammar(GRAMMAR)


# --- Agreement ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Probe:
    """A minimal pair: change the word at `cue`, and the word that must follow changes with it.

    Every word between the two can follow the cue and its twin alike: only the cue settles which of
    `right` and `wrong` is possible.
    """

    kind: str  # what decides: "number", "pronoun" (a name's gender), "name", "thing" or "place"
    reach: str  # "neighbour", "sentence" (words between) or "story" (a full stop between)
    prefix: Int[np.ndarray, " prefix"]  # one unfinished story
    cue: int  # position in the prefix of the word that decides
    twin: int  # the token that could stand there and would decide otherwise
    right: int  # a token that may follow the prefix
    wrong: int  # one that may not, but could if the cue were its twin

    @property
    def distance(self) -> int:
        """Tokens from the cue to the word that agrees with it: 1 when they are neighbours."""
        return len(self.prefix) - self.cue


def cue_twins() -> dict[tuple[str, str], str]:
    """(word, its twin) -> what agrees: pairs of words of `GRAMMAR` that decide later ones."""
    lists = {
        "name": GRAMMAR["person"],
        "place": GRAMMAR["place"],
        "thing": " | ".join(GRAMMAR["thing"].values()),
    }
    twins = {}
    for kind, line in lists.items():
        words = dict.fromkeys(body[0] for body, _ in alternatives(line))  # each once, in order
        twins |= {(a, b): kind for a in words for b in words if a != b}
    for a, b in twins:
        if twins[a, b] == "name" and GRAMMAR["she"][a] != GRAMMAR["she"][b]:
            twins[a, b] = "pronoun"
    for animal in GRAMMAR["act"]:
        many = inflect_noun(animal, "many")
        twins |= {(animal, many): "number", (many, animal): "number"}
    return twins


def agreement_probes(world: StoryWorld, n_stories: int, seed: int) -> list[Probe]:
    """All minimal pairs in a sample of stories, in the order of the sample.

    For each word that has a twin ("dog", "dogs") we walk the story and a copy with the twin side by
    side. The first word of the story that the copy could not say is `right`; a word that only the
    copy could say is `wrong`. So `right` has a positive probability and `wrong` exactly zero.
    """
    twins: dict[int, dict[int, str]] = defaultdict(dict)
    for (word, twin), kind in cue_twins().items():
        twins[int(world.encode(word)[0])][int(world.encode(twin)[0])] = kind
    stop = int(world.encode(".")[0])
    probes = []
    for story in world.sample(n_stories, seed):
        for cue, word in enumerate(story.tolist()):
            for twin, kind in twins[word].items():
                pair = world.first_difference(story, cue, twin)
                if pair is None:
                    continue
                target, wrong = pair
                reach = "story" if stop in story[cue:target] else "sentence"
                reach = "neighbour" if target == cue + 1 else reach
                probes.append(
                    Probe(kind, reach, story[:target], cue, twin, int(story[target]), wrong)
                )
    return probes
