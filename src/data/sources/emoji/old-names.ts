/**
 * @file Names that older drawing sets use for emoji, with today's Unicode name. Needed where a set comes without a
 * table of code points. Names that differ only in spaces, hyphens or the word "face" need no entry.
 */

/** Earlier Unicode names, in the form of icon names. */
const RENAMED = `
  direct-hit=bullseye, exclamation-mark=red exclamation mark, question-mark=red question mark, crazy-face=zany face,
  bride-with-veil=person with veil, heavy-heart-exclamation=heart exclamation, school-backpack=backpack,
  scorpius=scorpio, red-wine-glass=wine glass, white-wine-glass=wine glass, game-dice=game die,
  ballot-box-with-check=check box with check`;

/** Firefox OS names, which follow the Unicode 6 names freely. */
const FIREFOX = `
  2hearts=two hearts, angry=angry face, anguish=anguished face, astonished=astonished face, aubergine=eggplant,
  automatedtellermachine=atm sign, bactriancamel=two-hump camel, banknotedollar=dollar banknote,
  banknoteeuro=euro banknote, banknotepound=pound banknote, banknoteyen=yen banknote,
  beachumbrella=beach with umbrella, basketballandhoop=basketball, billiards=pool 8 ball, blackscissors=scissors,
  blackskullcrossbones=skull and crossbones, blackspadesuit=spade suit, blackclubsuit=club suit,
  blackdiamondsuit=diamond suit, blacktelephone=telephone, blackuniversalrecyclingsymbol=recycling symbol,
  blackhardshellfloppy=floppy disk, bride=person with veil, bunny=rabbit face, bunnyside=rabbit, catside=cat,
  cellphone=mobile phone, chartdownwardstrend=chart decreasing, chartupwardstrend=chart increasing,
  chartupwardstrendyen=chart increasing with yen, chilipepper=hot pepper, clap=clapping hands,
  closedmailboxlowered=closed mailbox with lowered flag, closedmailboxraised=closed mailbox with raised flag,
  openmailboxlowered=open mailbox with lowered flag, openmailboxraised=open mailbox with raised flag,
  confetti=confetti ball, confounded=confounded face, confused=confused face, cop=police officer, crying=crying face,
  curryandrice=curry rice, daggerknife=dagger, dancer=woman dancing, darksunglasses=sunglasses,
  devilhorns=smiling face with horns, disappointed=disappointed face, dogside=dog, doveofpeace=dove,
  dragonhead=dragon face, dragonside=dragon, dromedarycamel=camel, earofmaize=ear of corn, earofrice=sheaf of rice,
  electrictorch=flashlight, envelopedownarrowabove=envelope with arrow, europeancastle=castle,
  europeafricaglobe=globe showing europe-africa, americasglobe=globe showing americas, clock3oclock=three o'clock,
  asiaaustraliaglobe=globe showing asia-australia, evergreen=evergreen tree, expressionless=expressionless face,
  fallingleaf=fallen leaf, fatherchristmas=santa claus, fearful=fearful face, fireworksparkler=sparkler,
  fishcakeswirl=fish cake with swirl, fishingpoleandfish=fishing pole, fistedhand=oncoming fist,
  flexbicep=flexed biceps, flushed=flushed face, forkknife=fork and knife, framewithpicture=framed picture,
  frown=frowning face, frontfacingchick=front-facing baby chick, gem=gem stone, golfer=person golfing, gma=old woman,
  gpa=old man, grimacing=grimacing face, grin=grinning face, guardsman=guard, haircut=person getting haircut,
  hampster=hamster, handheldvideocamera=video camera, headmassage=person getting massage, heartarrow=heart with arrow,
  heartblue=blue heart, heartgreen=green heart, heartpurple=purple heart, heartyellow=yellow heart,
  heartribbon=heart with ribbon, hearteyes=smiling face with heart-eyes, heavycheckmark=check mark,
  heavydivisionsign=divide, heavyplussign=plus, heavymultiplicationsymbol=multiply, heavyminussign=minus,
  heels=high-heeled shoe, highspeedtrainbulletnose=bullet train, hocho=kitchen knife, hourglass=hourglass done,
  housebuilding=house, housebuildings=houses, hushed=hushed face, hundredpointssymbol=hundred points,
  imp=angry face with horns, izakayalantern=red paper lantern, japaneseangrymask=goblin,
  kissclosedeyes=kissing face with closed eyes, kissing=kissing face, largebluecircle=blue circle,
  largeredcircle=red circle, leaffluttering=leaf fluttering in wind, leftmagnifyingglass=magnifying glass tilted left,
  rightmagnifyingglass=magnifying glass tilted right, leopardside=leopard, lock=locked, lockandkey=locked with key,
  lockwithinkpen=locked with pen, openlock=unlocked, loudlycrying=loudly crying face, lowerleftcrayon=crayon,
  lowerleftfountainpen=fountain pen, lowerleftpaintbrush=paintbrush, lowerleftpen=pen, lowerleftpencil=pencil,
  mahjong=mahjong red dragon, medicalmask=face with medical mask, meridianglobe=globe with meridians,
  minidisc=computer disk, monkeyhear=hear-no-evil monkey, monkeysee=see-no-evil monkey,
  monkeyspeak=speak-no-evil monkey, mouseside=mouse, moyai=moai, multiplemusicalnotes=musical notes,
  mensshoe=man's shoe, neutral=neutral face, nosmokingsymbol=no smoking, nonpotablewatersymbol=non-potable water,
  noentrysign=no entry, nomouth=face without mouth, nooneunder18symbol=no one under eighteen,
  notebookdecorativecover=notebook with decorative cover, newmoonwithface=new moon face,
  fullmoonwithface=full moon face, openfolder=open file folder, openmouth=face with open mouth,
  opticaldisc=optical disk, outbox=outbox tray, perservere=persevering face, pensive=pensive face,
  personalcomputer=laptop, phonerightarrowleft=mobile phone with arrow, pigside=pig, pigsnout=pig nose,
  playingcardblackjoker=joker, poo=pile of poo, potablewatersystem=potable water, pouting=enraged face,
  pray=folded hands, present=wrapped gift, putlitterinitsplacesymbol=litter in bin sign,
  donotlittersymbol=no littering, racecar=racing car, rowboat=person rowing boat, running=person running,
  saggitarius=sagittarius, sakebottleandcup=sake, sandals=woman's sandal, schoolsatchel=backpack,
  screamfear=face screaming in fear, sheep=ewe, skiandskiboot=skis, sleeping=sleeping face, sleepy=sleepy face,
  sleuthspy=detective, sliceofpizza=pizza, smirk=smirking face, spurtingwhale=spouting whale,
  steamlocomotive=locomotive, studiomic=studio microphone, surfer=person surfing, swimming=person swimming,
  tennisball=tennis, thoughtbaloon=thought balloon, tigerside=tiger, tired=tired face, toykotower=tokyo tower,
  triumph=face with steam from nose, turban=person wearing turban, unamused=unamused face, videocasette=videocassette,
  warningsign=warning, wave=water wave, waving=waving hand, weary=weary face, weightlifter=person lifting weights,
  winking=winking face, womansshirt=woman's clothes, worried=worried face, raincloud=cloud with rain,
  snowcloud=cloud with snow, stormcloud=cloud with lightning, snowmountains=snow-capped mountain,
  sunraincloud=sun behind rain cloud, whitesun=sun, walking=person walking, bolt=high voltage, bow=ribbon,
  dash=dashing away, speechbubble=speech balloon, sweatsplash=sweat droplets, smoking=cigarette, stockchart=bar chart,
  halo=smiling face with halo`;

/** Icons that bear the name of another emoji, as `style/icon`. Found by looking at every drawing. */
export const MISNAMED: ReadonlySet<string> = new Set([
  'streamline-emojis/turkey', // a flag
  'emojione/cricket', // the game
  'emojione-monotone/cricket',
  'noto-v1/cricket',
  'fxemoji/tramcar', // a black rectangle
  'fxemoji/fog', // white on nothing
  'fxemoji/heartblue', // half of it is missing
  'fxemoji/sunglasses', // a face
  'icon-park/chicken', // roast
  'icon-park-solid/chicken',
  'mingcute/chicken',
  'hugeicons/mouse', // of a computer, as in all sets below
  ...['icon-park', 'icon-park-solid', 'ph', 'mingcute', 'tabler', 'lucide', 'mdi', 'solar'].map(set => `${set}/mouse`),
  ...['streamline-color', 'streamline-cyber-color', 'carbon', 'iconoir'].map(set => `${set}/mouse`),
  'icon-park/anchor', // a point of a curve
  'icon-park-solid/anchor',
  'carbon/anchor',
  'hugeicons/keyboard', // a robot, a face
  'icon-park/keyboard',
  'icon-park-solid/keyboard',
  'icon-park/seat', // a wheelchair
  'icon-park-solid/seat',
  'tabler/bow', // of an archer
  'streamline-color/bow',
  'icon-park/ring', // a circle of dots
  'icon-park-solid/ring',
  'mingcute/ring', // of a gymnast
  'icon-park/label', // a bookmark
  'icon-park-solid/label',
  'carbon/label', // letters
  'solar/lightning', // a charger
  'streamline-color/inbox', // an envelope
  'mdi/school', // a graduation cap
  'tabler/school',
  'mdi/hospital', // a cross
  'game-icons/fountain', // a palm tree
  'carbon/hotel', // a bed
  'game-icons/flower', // a field of flowers
  'hugeicons/earth', // globes with lines
  'icon-park/earth',
  'mingcute/earth',
  'hugeicons/snow', // snowflakes
  'mingcute/snow',
  'tabler/snow',
  'hugeicons/rain', // drops
  'icon-park/clock', // a tick
  'hugeicons/purse', // a wallet
  'icon-park/fireworks', // a party popper
  'icon-park-solid/fireworks',
  'game-icons/bookmark', // a book
  'carbon/tennis-ball', // a racket
  'icon-park/trumpet', // a plug
  'icon-park-solid/trumpet',
  'carbon/package', // an arrow
  'carbon/key', // letters
  'carbon/map', // a pin
  'game-icons/ice-cream', // a whole parlour
]);

/** Concepts whose names icon sets use for other things in most cases. */
export const MISLEADING: ReadonlySet<string> = new Set([
  ...[
    'ram',
    'wave',
    'page',
    'joker',
    'station',
    'half-moon',
    'gibbous-moon',
    'starry-night',
    'paper-lantern',
    'leaves',
  ],
]);

function parse(table: string): Map<string, string> {
  return new Map(table.split(',').map(entry => entry.trim().split('=') as [string, string]));
}

/** Icon name → Unicode name, by style; `*` is for all styles. */
export const OLD_NAMES: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map([
  ['*', parse(RENAMED)],
  ['fxemoji', parse(FIREFOX)],
]);
