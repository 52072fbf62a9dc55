"""Sentences for the synthetic corpus: templates over word lists, deterministic by seed.

The lists lean on lip closures (p, b, m), lip-teeth contacts (f, v), rounded vowels (oo, oh, w) and open
vowels, because these are what a viewer checks a talking mouth by. Every English phone occurs.
"""

from __future__ import annotations

import re

import numpy as np

_WORDS: dict[str, str] = {
    "name": (
        "Bob,Pam,Emma,Mabel,Barbara,Philip,Oliver,Thomas,Maya,Victor,Joyce,Hugo,Ruth,George,"
        "Wanda,Yvonne,Zach,Charlotte,Abby,Paul,Naomi,Ethan,Fatima,Omar,Lucy,Boris,Priya,Samuel,"
        "Beth,Martin"
    ),
    "who": (
        "my brother,the mayor,her mother,a young farmer,the baker,our boss,every pupil,"
        "the bus driver,somebody,an old fisherman,the plumber,the whole family,nobody,"
        "a bearded poet,the vet,their team,the woman upstairs,a famous painter,"
        "the boy with the ball,our new neighbour,the judge,my uncle"
    ),
    "thing": (
        "apple pie,map,umbrella,pepper,bamboo pipe,blue lamp,book,piano,camera,paper boat,"
        "wooden box,pumpkin,bottle of milk,fork,velvet glove,watch,shovel,tube of paint,computer,"
        "purple balloon,broom,radio,thimble,garage key,orange,bag of plums,thermometer,ship,"
        "yellow ribbon,hammer,chocolate bar,stamp album"
    ),
    "things": (
        "maps,plums,bubbles,mushrooms,papers,boots,pebbles,pumps,movies,waves,photographs,beams,"
        "ropes,houses,lamps,vowels,judges,thumbs,bells,puppies,jumpers,measurements,visions,boys,"
        "spoons,clouds,paths"
    ),
    "adj": (
        "big,beautiful,warm,purple,awful,empty,famous,visible,smooth,amazing,brown,happy,open,"
        "simple,odd,tiny,heavy,foggy,loud,calm,strange,humble,brave,rough,wooden,main,wobbly,"
        "cheap,casual,powerful"
    ),
    "adverb": (
        "quickly,calmly,by chance,as usual,without a sound,in the morning,before midnight,badly,"
        "once more,for fun,all afternoon,with a smile,simply,every other month,at home,"
        "on purpose,twice a week,for an hour,too soon,somehow"
    ),
    "verb": (
        "bought,painted,borrowed,dropped,photographed,mapped,watched,moved,buried,swapped,found,"
        "opened,brought,mixed,rubbed,described,polished,imagined,wrapped,chose,warmed,offered,"
        "measured,threw,caught"
    ),
    "go": ("jumped,walked,moved,swam,rode,marched,stumbled,hopped,flew,climbed,drove,wandered,hurried,slept"),
    "place": (
        "at the bank,by the river,in Paris,over the bridge,under the apple tree,at the market,"
        "in the basement,near the airport,on the farm,outside the palace,behind the museum,"
        "in my room,beyond the pond,at the beach,on the upper balcony,along the path,"
        "in northern Vermont,at a cheap hotel"
    ),
    "food": (
        "bread and butter,baked beans,a bowl of plum jam,mushroom soup,roast beef,apple crumble,"
        "ham,warm milk,peppermint tea,popcorn,cheese,a banana,garlic,raw fish,oat porridge,"
        "beef pie,vanilla fudge"
    ),
    "topic": (
        "the budget,public transport,music,the weather,modern art,football,the problem with maps,"
        "bee keeping,our plan,how ships move,the shape of bubbles,memory,the economy,good food,"
        "the job market,power"
    ),
    "month": "January,February,March,April,May,June,July,August,September,October,November,December",
    "number": (
        "two,five,seven,eleven,twelve,fifteen,forty four,ninety,one hundred,a thousand,"
        "three million,half,twenty six,about eighty,zero point five,the first,the fourth,"
        "number nine"
    ),
    "vowel": (
        "far,father,calm,top,car,shop,awkward,audience,how,loud,amount,eye,arrive,cat,happen,"
        "blue,food,you,beauty,over,moment,boy,noise,bird,early,see,people,may,paper,good,woman,"
        "bit,simple,men,better"
    ),
    "pbm": (
        "pump,bump,map,mob,bomb,pomp,bib,pep,mum,Bob,pop,mop,imp,bumper,member,pamper,number,"
        "public,September,maybe,empty,amber,problem,combine,purple,paper,baby,mama,papa,apple,"
        "bubble,remember"
    ),
}
_LISTS = {key: tuple(words.split(",")) for key, words in _WORDS.items()}

_TEMPLATES = (
    "{name} {verb} the {adj} {thing} {place}.",
    "{who} {go} {place} {adverb}, and {name} {verb} {number} {things}.",
    "Why would {who} {adverb} talk about {topic}?",
    "Maybe {who} never {verb} a {adj} {thing}, but {name} did.",
    "May I have {food}, please?",
    "On {month} {number}, {name} {go} {place}.",
    "Above all, remember {topic}; {who} always does.",
    "Both {things} and {things} are {adj}, {name} said.",
    "I am afraid {who} {verb} my {thing} again!",
    "We need {things}, {things}, {food}, and {number} more {things}.",
    "Could you put the {thing} {place}, {name}?",
    "People often ask me about {topic}.",
    "If {who} {go} {place}, then {name} must be {adj}.",
    "{pbm}, {pbm}, {vowel}, {pbm}.",
    "Please say {pbm}, then {vowel}, then {pbm} once more.",
    "The {adj} {thing} was {adj}, far too {adj} for {who}.",
    "Who {verb} {food} {adverb}?",
    "My number is {digits}.",
    "Room {digits}, {place}, opens in {month}.",
    "What a {adj} {thing}! {name} {verb} it {adverb}.",
    "Oh, {who} {go} {adverb}, while {who} ate {food}.",
    "Papa and mama {go} {place}; a {adj} {thing} came by.",
    "Honestly, {topic} makes {who} {adj}, {vowel} or {vowel}.",
    "Vivid thoughts of {topic} gave {name} {number} {adj} ideas.",
    "They {verb} those {things} with {number} {adj} {things}.",
    "Ah, the {thing}, the {thing}, and the {pbm}!",
    "How long have you been in {month}ville, {name}, and how was {food}?",
    "Nothing beats {food} {place}.",
    "She {verb} a measure of {food}, huge and {adj}, for {name}.",
    "You should watch {who} {adverb}; the {vowel} {thing} is by the {pbm}.",
)
_SLOT = re.compile(r"\{(\w+)\}")


def sentence(rng: np.random.Generator) -> str:
    """One sentence with its end mark, 3 to 20 words."""
    template = _TEMPLATES[rng.integers(len(_TEMPLATES))]
    text = _SLOT.sub(lambda slot: _fill(slot[1], rng), template)
    return text[0].upper() + text[1:]


def passage(rng: np.random.Generator, seconds: float) -> list[str]:
    """Sentences that take about `seconds` when read at an ordinary pace (14 letters a second)."""
    sentences: list[str] = []
    while sum(len(text) for text in sentences) < 14.0 * seconds:
        sentences.append(sentence(rng))
    return sentences


def _fill(slot: str, rng: np.random.Generator) -> str:
    if slot == "digits":
        return " ".join(_DIGITS[digit] for digit in rng.integers(10, size=rng.integers(3, 6)))
    words = _LISTS[slot]
    return words[rng.integers(len(words))]


_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
