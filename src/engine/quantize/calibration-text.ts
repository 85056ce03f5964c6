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
`;
