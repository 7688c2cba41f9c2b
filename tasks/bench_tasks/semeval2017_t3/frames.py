"""Words and sentence frames of the synthetic forum. No split shares a frame with another; words are shared in part.

``{t}`` is the thing that is asked about, ``{p}`` a place, ``{n}`` a small number, ``{m}`` an amount, ``{h}`` an hour.
"""

from __future__ import annotations

from collections.abc import Mapping

ASPECTS = ("price", "place", "hours", "steps", "view")

THINGS: tuple[tuple[str, str, str], ...] = (
    # two names of one thing, and who may use them: s shared, t train, d dev, e test
    ("flu shot", "influenza jab", "s"), ("blood test", "lab work", "s"), ("dentist", "dental surgery", "s"),
    ("eye exam", "sight check", "s"), ("swimming pool", "public baths", "s"), ("used car", "second hand vehicle", "s"),
    ("driving lessons", "road tuition", "s"), ("nursery", "day care", "s"), ("broadband", "home internet", "s"),
    ("bicycle repair", "bike mending", "s"), ("travel visa", "entry permit", "s"), ("gym", "fitness club", "s"),
    ("water heater", "boiler", "t"), ("piano tutor", "keyboard teacher", "t"), ("dog kennel", "pet boarding", "t"),
    ("house cleaner", "maid service", "t"), ("physiotherapist", "rehab clinic", "t"), ("phone contract", "mobile plan", "t"),
    ("tailor", "alterations shop", "t"), ("hearing aid", "ear device", "t"), ("plumber", "pipe fitter", "t"),
    ("storage unit", "self store locker", "t"), ("moving van", "removal truck", "t"), ("allergy test", "skin prick check", "t"),
    ("passport photo", "id picture", "d"), ("knee brace", "joint support", "d"), ("library card", "reader ticket", "d"),
    ("antenatal class", "birth course", "d"), ("garden shed", "tool hut", "d"), ("ferry ticket", "boat fare", "d"),
    ("wheelchair hire", "mobility rental", "e"), ("sleep study", "apnea monitoring", "e"), ("vet", "animal doctor", "e"),
    ("cooking class", "culinary course", "e"), ("insulin pump", "glucose device", "e"), ("roof repair", "slate fixing", "e"),
    ("guitar strings", "fretboard wires", "e"), ("night nurse", "overnight carer", "e"), ("car seat", "infant chair", "e"),
    ("compost bin", "garden waste box", "e"), ("chess club", "board game circle", "e"), ("bus pass", "transit card", "e"),
)  # fmt: skip

PLACES: Mapping[str, tuple[str, ...]] = {
    "train": ("the old harbour", "Mill Road", "the station", "Castle Square", "the north gate", "Elm Street", "the mall"),
    "dev": ("the ring road", "Mill Road", "the museum", "Castle Square", "Quay Lane"),
    "test": ("the fish market", "Abbey Hill", "the station", "Foundry Row", "the tram depot", "Mill Road"),
}

QUESTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "train": {
        "price": ("How much should I expect to pay for a {t}?", "What does a {t} cost around here these days?"),
        "place": ("Where can I find a good {t} in town?", "Can anyone tell me where to go for a {t}?"),
        "hours": ("When is it best to book a {t}?", "Do you know the opening times for a {t}?"),
        "steps": ("How do I arrange a {t} as a newcomer?", "What papers do I need for a {t}?"),
        "view": ("Has anybody had a good experience with a {t}?", "Is a {t} really worth it?"),
    },
    "dev": {
        "price": ("Looking for a rough figure on a {t}, any idea of the rates?",),
        "place": ("New in the area and in need of a {t}, which part of town?",),
        "hours": ("Could I still get a {t} after work or at weekends?",),
        "steps": ("First time with a {t} here. What is the procedure?",),
        "view": ("Thinking about a {t}. Would you do it again?",),
    },
    "test": {
        "price": ("My budget is tight: is a {t} expensive?", "Please share what you were charged for a {t}."),
        "place": ("Which neighbourhood has a decent {t}?", "Point me to a {t} that is not far, please."),
        "hours": ("Is there a {t} on Fridays, and until when?", "At what time of day should one turn up for a {t}?"),
        "steps": ("Who has gone through getting a {t}, and in what order?", "Is a form required for a {t}?"),
        "view": ("Opinions wanted about a {t}, good or bad.", "Would you recommend a {t} to a friend?"),
    },
}  # fmt: skip

BODIES: Mapping[str, tuple[str, ...]] = {
    "train": ("We moved here {n} weeks ago.", "My wife keeps asking.", "Any help is welcome.", "I live close to {p}."),
    "dev": ("It is for my parents.", "I tried {p} without luck.", "Grateful for every hint."),
    "test": ("My neighbour could not tell me.", "I pass {p} every day.", "It has to be settled within {n} days.",
             "Cheers in advance."),
}  # fmt: skip

ANSWERS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "train": {
        "price": ("I paid {m} for a {t} last month.", "A {t} is about {m}, a bit more in season."),
        "place": ("There is a {t} behind {p}, next to the bakery.", "Try {p}, they have a {t} on the first floor."),
        "hours": ("They do a {t} from {h} until late, closed on Mondays.", "For a {t} go before {h}, it is quiet then."),
        "steps": ("For a {t} you bring two copies and register at {p}.", "Ring them, then they send you the form for a {t}."),
        "view": ("We had a {t} for {n} years and were very happy.", "Our {t} was a waste of money, I would not repeat it."),
    },
    "dev": {
        "price": ("Count on {m} when you want a {t}.",),
        "place": ("You will see a {t} as soon as you leave {p}.",),
        "hours": ("The {t} runs daily, last turn at {h}.",),
        "steps": ("With a {t} the order is: call, deposit, signature at {p}.",),
        "view": ("The {t} did wonders for us, no regrets after {n} months.",),
    },
    "test": {
        "price": ("My bill for the {t} came to {m}, tax included.", "No {t} should be dearer than {m}."),
        "place": ("Walk from {p} towards the river and the {t} is on your left.", "The one at {p} does a {t} and has parking."),
        "hours": ("Doors for the {t} open at {h} and they shut at noon on Fridays.", "Show up around {h} for a {t}."),
        "steps": ("Fill in the request at {p}, wait {n} days, then collect the {t}.", "A stamp from {p} is all a {t} takes."),
        "view": ("After {n} tries I can say that a {t} is excellent.", "Honestly the {t} let us down {n} times."),
    },
}  # fmt: skip

VAGUE: Mapping[str, tuple[str, ...]] = {
    "train": ("My cousin knows about a {t}, I will ask.", "I saw a {t} in the paper but forgot where."),
    "dev": ("There was a thread about a {t} some time ago.",),
    "test": ("Somebody at work mentioned a {t} once.", "Maybe search for {t} in the yellow pages."),
}

BANTER: Mapping[str, tuple[str, ...]] = {
    "train": ("Lol, a {t}? Good luck with that.", "Why do you want a {t} anyway?", "Thanks, I wondered about a {t} too.",
              "Only you could ask for a {t} at {h}.", "Off topic, but who won at {p} yesterday?"),
    "dev": ("A {t}, really? You must be bored.", "Same question about a {t} here!", "Nobody reads this at {h} anyway."),
    "test": ("Ask the moon for a {t}, my friend.", "Following, since I am curious about a {t} as well.",
             "And what happened to your last {t}?", "Not again. Every week a {t}.", "Greetings to all from {p}!"),
}  # fmt: skip
