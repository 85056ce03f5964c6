/** @file What a model reads while it is calibrated: prose, talk, tables, lists and code of our own, of as many kinds as fit. */

export const CALIBRATION_TEXT = `The harbour lies on the north side of the bay. In the morning the boats come back with herring, mackerel and now and then a
few crabs, and before eight o'clock the women from the market have bought nearly everything. "You should have been here
yesterday," said the old man, "when the wind turned and nobody could get out at all." He laughed, folded his newspaper and
walked slowly up the hill.

Question: What is shown in the picture, and how many people are there?
Answer: The picture shows a busy street in a city. There are five people: two women waiting at a crossing, a man on a red
bicycle, and a child who holds her father's hand. On the left is a bakery with a green awning; behind it stands a church.

Water boils at 100 degrees Celsius at sea level, but on a mountain of 3,000 metres it boils at about 90. That is because the
pressure of the air is lower there: fewer molecules push down on the surface, so that less energy is needed to escape from
it. The same holds for other liquids, although the numbers differ.

To make bread you need 500 g of flour, 10 g of salt, 7 g of yeast and 320 ml of lukewarm water. Mix the dry ingredients, add
the water, and knead for ten minutes. Let the dough rest until it has doubled in size, then shape a loaf and bake it at 220 °C
for 35 minutes.

1. Open the file and read its first line.
2. If the line is empty, print "nothing to do" and stop.
3. Otherwise split it at each comma:

def fields(line):
    return [part.strip() for part in line.split(",") if part]

The treaty of 1648 ended thirty years of war in Europe. Historians still argue about its meaning: some see in it the beginning
of the modern system of states, others a compromise that merely confirmed what had long been the case. In 2021 the economy
grew by 5.7 percent, after it had shrunk in the year before; unemployment fell to 3.9 percent.

USER: Can you tell me a short story about a fox?
ASSISTANT: Once upon a time there was a young fox who was afraid of the dark. Every evening he asked his mother to leave the
entrance of the den open, so that he could see the moon. One night the moon did not come. The little fox waited, and then he
saw the stars, one after another, and counted them until he fell asleep.

Dear Ms. Alvarez, thank you for your letter of 12 March. We are sorry that the lamp arrived broken. A new one will be sent to
you within the next five days, free of charge; please keep the old one until our driver collects it. Yours sincerely.

# Garden planner

A small program that tells you what to sow and when. It runs in a terminal and keeps its data in one text file.

## Installation

    npm install --global garden-planner
    garden init --zone 7b

| crop    | sow     | harvest   | distance |
|---------|---------|-----------|----------|
| carrot  | April   | July      | 5 cm     |
| bean    | mid-May | August    | 15 cm    |
| lettuce | March   | from June | 25 cm    |

- \`garden today\` lists what is due; with \`--json\` it prints one object per task.
- Options can be set in \`~/.garden.toml\`, by environment variable or on the command line, in that order.
- Known problem: on Windows, times are shown in UTC (see issue 112). A fix is planned for version 2.4.

The heart of a mouse beats about six hundred times a minute, that of an elephant thirty times. Yet both beat roughly a billion
times in a life, since the mouse lives two years and the elephant sixty. Small animals lose heat faster than large ones, because
they have more surface for their weight, so they must burn more to stay warm; everything in them runs at a higher speed.

Solve 3x + 7 = 22. Subtract 7 from both sides: 3x = 15. Divide by 3: x = 5. To check, put 5 into the equation: 3 · 5 + 7 = 22.
If a train travels 180 km in 2 hours and 15 minutes, its average speed is 180 / 2.25 = 80 km/h. The area of a circle of radius r
is πr², so when the radius is doubled, the area becomes four times as large.

"Are you coming or not?" Miriam called from the door. I looked for my second shoe. It was not under the bed, nor behind the
curtain where the dog liked to hide things. "Go ahead," I said, "I'll catch up with you at the station." She sighed, and I heard
her steps on the stairs, the creak of the gate, then nothing but rain. When I finally found the shoe it was in the oven.

The image features a large brown dog lying on a wooden porch next to a pair of boots. The dog appears to be relaxed, with its
head resting on its front paws. In the background there are several potted plants, and a chair can be seen on the right side of
the scene. The warm light suggests that the photo was taken in the late afternoon, perhaps in autumn.

function debounce(callback, delay = 200) {
  let timer;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => callback(...args), delay);
  };
}

SELECT customer.name, COUNT(*) AS orders, SUM(total) AS spent FROM orders JOIN customer ON customer.id = orders.customer_id
WHERE orders.date >= '2023-01-01' GROUP BY customer.name HAVING COUNT(*) > 3 ORDER BY spent DESC LIMIT 10;

Abstract. We study how the temperature of lakes has changed since 1985, using satellite measurements of 235 lakes on six
continents. Surface water in summer warmed by 0.34 °C per decade on average, faster than the air or the ocean. Lakes that are
covered with ice in winter warmed most. The differences between neighbouring lakes are large, however: depth, clarity and wind
explain about half of the variance (R² = 0.48, p < 0.001). We discuss what this means for fish and for drinking water.

Q: My phone does not charge any more. What can I do?
A: First, try another cable and another plug, since cables break more often than phones. Second, look into the socket with a
lamp: dust from a pocket can keep the plug from going in all the way. You can remove it with a wooden toothpick, while the phone
is switched off. Third, restart the phone. If none of this helps, the battery or the socket has to be replaced.

LONDON, Tuesday - Shares fell for a third day after the central bank raised its main interest rate by a quarter of a point to
4.5%, the highest level since 2008. Banks and house builders lost most. "Nobody expected them to stop now," said an analyst,
"but many had hoped for a hint." The pound rose to $1.27. Oil was little changed at $76 a barrel.

The city of Quito lies 2,850 metres above the sea, in a long valley on the slopes of a volcano. It was founded in 1534 on the
ruins of an Inca town. Its old centre, with forty churches and chapels, was among the first places that UNESCO put on the list of
world heritage, in 1978. About two million people live there today.

Le petit train part à sept heures et demie. Wer zu spät kommt, muss zu Fuß gehen. ¿Dónde está la biblioteca? Il gatto dorme
sul divano, e fuori piove. 今日は天気がいいですね。 Привет, как дела?

How to choose a bicycle
1. Think about where you will ride. For the city you need mudguards, lights and a carrier; for trails, wide tyres and good brakes.
2. Get the right size: when you stand over the frame, there should be at least three centimetres between you and the tube.
3. Take a test ride of more than five minutes. Shift through all gears, brake hard, let go of the handlebar for a moment.
4. Keep some money for a good lock. Most stolen bicycles were locked badly, or not at all.

What is the difference between a virus and a bacterium? Bacteria are living cells: they eat, grow and divide by themselves, and
most of them are harmless or even useful. A virus is much smaller and has no life of its own; it must enter a cell and make the
cell produce copies of it. That is why antibiotics, which attack the machinery of bacteria, do nothing against a cold or the flu.

The contract begins on the first day of the month following its signature and ends after twelve months unless it is renewed in
writing. Either party may terminate it with a notice of thirty days. The tenant shall keep the premises in good order, shall not
alter them without the consent of the landlord, and shall bear the cost of any damage that exceeds ordinary wear.

Night came early over the moor. The road had turned to mud, and the horse, which had been lame since noon, would go no further.
Far off there was one light, yellow and low, as if somebody had put a lantern on the ground. Thomas took the bridle in one hand
and the letter in the other, and began to walk. He did not think of turning back. There was, as his father used to say, nothing
behind him that he had not already seen.

{"name": "sensor-17", "location": {"lat": 48.137, "lon": 11.575}, "readings": [21.4, 21.6, 21.5, null, 22.0], "ok": true}

Commit messages should say why a change was made; what was changed can be seen in the diff. The first line has at most 72
characters. We measured the new cache on two machines: the median fell from 41 ms to 12 ms, the 99th percentile from 230 ms to 180
ms, and memory grew by 3%. The slow path is now only taken when the file is larger than 64 MB or its checksum is missing.

Teacher: Who can tell me why leaves are green? Ana: Because of chlorophyll. Teacher: Right. And why do they turn yellow in
autumn? Ben: The tree takes the chlorophyll back, and then we see the other colours that were there all the time. Teacher: Very
good. So is the yellow new? Ben: No, it was only hidden.

A glacier moves a few centimetres a day. Stones that fall on its back are carried down the valley and dropped where the ice melts,
in long walls called moraines; from such walls, far from any mountain, people first understood that ice had once covered half of
Europe. The last of these cold times ended about 11,700 years ago. Since then the sea has risen by some 120 metres.

User: I have eggs, spinach, rice and half an onion. What can I cook?
Assistant: You could make fried rice: cook the rice and let it cool, fry the onion until it is golden, add the rice and the
spinach, then push everything to one side of the pan and scramble two eggs on the other. Mix, and season with soy sauce or salt
and pepper. It takes about twenty minutes. Would you like a recipe without rice?
User: No, thanks. How many calories does that have?
Assistant: About 450 per serving, if you use one tablespoon of oil and 150 g of cooked rice.

| model   | parameters | memory (MB) | tokens/s | accuracy |
|---------|-----------:|------------:|---------:|---------:|
| small   |      125 M |         310 |    142.0 |   41.8 % |
| medium  |      350 M |         780 |     61.3 |   47.2 % |
| large   |      1.3 B |       2,650 |     17.9 |   53.6 % |

As the table shows, memory grows nearly in proportion to the number of parameters, whereas accuracy grows with its logarithm. All
figures are medians of five runs on the same machine; a warm-up run was left out. To reproduce them, call \`make bench\` and
compare the output with \`results/2024-06-03.json\`. Differences of less than 2% are noise.

The woman in the photo is standing at the edge of a tennis court, holding a racket in her right hand. She wears a white cap and a
blue skirt. Behind her there is a fence with several people watching, and one of them, a boy with a red backpack, is taking a
picture. Based on the long shadows, the match is probably being played early in the morning or late in the day.

import json
from pathlib import Path

class Store:
    """Keeps small records in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = json.loads(path.read_text()) if path.exists() else {}

    def put(self, key: str, value: object) -> None:
        if not key:
            raise ValueError("key: expected a name, got ''")
        self.records[key] = value
        self.path.write_text(json.dumps(self.records, indent=2))

When my brother was seven he decided to dig a hole to the other side of the world. He began behind the shed, where the ground was
soft, and he worked for three afternoons with a toy spade and a saucepan. On the fourth day he reached water. He came running into
the kitchen, muddy to the elbows, and shouted that he had found the sea. My mother turned off the tap, looked at him for a while
and said: "Then you had better learn to swim before supper."

There are three kinds of rock. Igneous rock forms when molten material cools, either slowly below the ground, as granite does, or
quickly at the surface, as basalt. Sedimentary rock is made of grains that wind and water have laid down in layers: sandstone,
limestone, chalk. When either of them is pressed and heated deep in the crust, it turns into metamorphic rock such as marble or
slate. Over millions of years each kind can become any other.

Should cities ban cars from their centres? Those in favour point out that streets without traffic are safer, quieter and cleaner,
and that shops often earn more, not less, once people can walk there. Opponents reply that not everybody can walk or cycle: the
old, the ill, and those who live far from a station depend on their cars. Both sides are partly right. A fair plan would close some
streets, keep others open for residents, buses and deliveries, and spend the income from parking on better trains.

Error: cannot open "settings.yaml": no such file or directory (code 2)
    at readSettings (src/settings.ts:41:11)
    at main (src/main.ts:12:20)
Hint: run \`setup --defaults\` to create it, or pass \`--config FILE\`.

Step 1: Turn off the power at the main switch. Step 2: Remove the cover plate and the two screws that hold the old socket. Step 3:
Note which wire is connected to which terminal, or take a photograph. Step 4: Loosen the terminals, pull out the wires, and connect
them to the new socket in the same order. Step 5: Screw it in, put the cover back and switch on the power. If the fuse blows, call
an electrician.

Mozart was born in Salzburg in January 1756. By the age of six he had played before the Empress; at eight he wrote his first
symphony, at twelve his first opera. He travelled for more than ten of his thirty-five years, mostly by coach, over bad roads and in
all weathers, and wrote wherever he stopped. He died in December 1791 and left more than six hundred works.

Review: 4 out of 5 stars. The headphones are light, the sound is clear, and the battery lasts for two working days. I took one star
off because the buttons are too small to find without looking, and because the case, which costs extra, does not close properly.
Would buy again? Yes, at the current price of $59.99, but not at the original $89.
`;
