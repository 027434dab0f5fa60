//! Makes records at random: JSON values, and the many ways to write them.

/// Numbers that look random and are the same for a seed (Marsaglia, "Xorshift RNGs", 2003).
pub(super) struct Random(u64);

/// A value and how it is written.
#[derive(Clone, Debug)]
pub(super) struct Json {
    pub(super) value: Value,
    pub(super) text: String,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    /// Its text is the value.
    Number,
    Text(String),
    Array,
    /// In the order in which they are written; keys may be equal.
    Object(Vec<(String, Json)>),
}

/// How records are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// In this many of a hundred places something unusual is written: white space, escapes, odd numbers.
    pub(super) odd: u64,
    /// Whether keys may be equal.
    pub(super) duplicates: bool,
}

/// Keys that the schemas of the tests read, and some that they do not.
pub(super) const KEYS: [&str; 14] = [
    "ts", "text", "int", "uint", "float", "decimal", "flag", "json", "key", "time", "host", "name", "schön", "other",
];

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % bound
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn one_of<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// A record: an object that mostly has an event time.
pub(super) fn record(random: &mut Random, style: Style) -> Json {
    let mut members = Vec::new();
    if random.percent(95) {
        let time = match random.below(20) {
            0 => text(random, style, "2026-01-01T00:00:00.5+01:00"),
            1 => value(random, style, 1),
            _ => number(format!("17672256{:05}", random.below(100_000))),
        };
        members.push(("ts".to_owned(), time));
    }
    members.extend(self::members(random, style, 0));
    if random.percent(style.odd) {
        let at = random.below(members.len() as u64) as usize;
        members.swap(0, at);
    }
    let mut object = object(random, style, members);
    object.text = space(random, style) + &object.text + &space(random, style);
    object
}

fn members(random: &mut Random, style: Style, depth: u32) -> Vec<(String, Json)> {
    let mut members: Vec<(String, Json)> = Vec::new();
    let mut keys: Vec<&str> = KEYS.iter().copied().filter(|_| random.percent(60)).collect();
    if style.duplicates {
        for _ in 0..random.below(4) {
            keys.insert(random.below(keys.len() as u64 + 1) as usize, random.one_of(&KEYS));
        }
    }
    if random.percent(style.odd) {
        keys.reverse();
    }
    for key in keys.into_iter().filter(|key| *key != "ts" || style.duplicates) {
        members.push((key.to_owned(), fitting(random, style, key, depth)));
    }
    members
}

/// A value for a key, mostly of the type that the schemas want of it.
fn fitting(random: &mut Random, style: Style, key: &str, depth: u32) -> Json {
    if random.percent(style.odd / 2) {
        return value(random, style, depth + 1);
    }
    match key {
        "ts" => number(format!("17672256{:05}", random.below(100_000))),
        "text" | "name" => {
            let content = random.one_of(&["CRITICAL", "MAJOR", "", "a rather long text without any escape in it"]);
            text(random, style, content)
        }
        "int" | "uint" | "time" => number(random.below(1 << 40).to_string()),
        "float" | "decimal" => number(format!("{}.{:03}", random.below(1000), random.below(1000))),
        "flag" => boolean(random.percent(50)),
        "host" if depth < 4 => {
            let members = members(random, style, depth + 1);
            object(random, style, members)
        }
        _ => value(random, style, depth + 1),
    }
}

/// Any value.
pub(super) fn value(random: &mut Random, style: Style, depth: u32) -> Json {
    match random.below(if depth < 5 { 9 } else { 7 }) {
        0 => Json {
            value: Value::Null,
            text: "null".to_owned(),
        },
        1 => boolean(random.percent(50)),
        2 | 3 => odd_number(random),
        4..=6 => {
            let content = odd_content(random);
            text(random, style, &content)
        }
        7 => {
            let values: Vec<_> = (0..random.below(5))
                .map(|_| value(random, style, depth + 1).text)
                .collect();
            let mut text = String::from("[") + &space(random, style);
            for (at, value) in values.iter().enumerate() {
                text += if at > 0 { "," } else { "" };
                text += &(space(random, style) + value + &space(random, style));
            }
            Json {
                value: Value::Array,
                text: text + "]",
            }
        }
        _ => {
            let members = members(random, style, depth + 2);
            object(random, style, members)
        }
    }
}

fn boolean(boolean: bool) -> Json {
    Json {
        value: Value::Boolean(boolean),
        text: boolean.to_string(),
    }
}

fn number(text: String) -> Json {
    Json {
        value: Value::Number,
        text,
    }
}

fn odd_number(random: &mut Random) -> Json {
    let mut text = String::from(random.one_of(&["", "", "-"]));
    let digits =
        |random: &mut Random, count: u64| (0..count).map(|_| char::from(b'0' + random.below(10) as u8)).collect();
    let whole: String = match random.below(8) {
        0 => "0".to_owned(),
        1 => random
            .one_of(&["9223372036854775807", "9223372036854775808", "18446744073709551615"])
            .to_owned(),
        2 => random
            .one_of(&["18446744073709551616", "99999999999999999999999999999", "1"])
            .to_owned(),
        _ => {
            let count = random.below(24);
            let more: String = digits(random, count);
            (1 + random.below(9)).to_string() + &more
        }
    };
    text += &whole;
    if random.percent(30) {
        let count = 1 + random.below(20);
        let fraction: String = digits(random, count);
        text = text + "." + &fraction + random.one_of(&["", "0", "000000000000000000"]);
    }
    if random.percent(20) {
        text += random.one_of(&["e", "E", "e+", "E-", "e-"]);
        text += &random.below(25).to_string();
    }
    number(text)
}

fn odd_content(random: &mut Random) -> String {
    const PIECES: [&str; 16] = [
        "a",
        "CRITICAL",
        "\"",
        "\\",
        "/",
        "\n",
        "\u{1f}",
        "\u{7f}",
        "é",
        "€",
        "😀",
        "\u{0}",
        "{",
        "}",
        ",\"",
        "sixteen bytes ok",
    ];
    (0..random.below(6)).map(|_| random.one_of(&PIECES)).collect()
}

fn text(random: &mut Random, style: Style, content: &str) -> Json {
    Json {
        value: Value::Text(content.to_owned()),
        text: quoted(random, style, content),
    }
}

/// A string in quotes; what need not be escaped sometimes is.
fn quoted(random: &mut Random, style: Style, content: &str) -> String {
    let mut text = String::from('"');
    for character in content.chars() {
        let short = match character {
            '"' => Some("\\\""),
            '\\' => Some("\\\\"),
            '/' => Some("\\/"),
            '\n' => Some("\\n"),
            '\t' => Some("\\t"),
            _ => None,
        };
        let must = matches!(character, '"' | '\\' | '\0'..='\u{1f}');
        if must || random.percent(style.odd / 4) {
            match short {
                Some(short) if random.percent(50) => text += short,
                _ => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        text += &if random.percent(50) {
                            format!("\\u{unit:04x}")
                        } else {
                            format!("\\u{unit:04X}")
                        };
                    }
                }
            }
        } else {
            text.push(character);
        }
    }
    text + "\""
}

fn object(random: &mut Random, style: Style, members: Vec<(String, Json)>) -> Json {
    let mut text = String::from("{") + &space(random, style);
    for (at, (key, value)) in members.iter().enumerate() {
        text += if at > 0 { "," } else { "" };
        text += &space(random, style);
        text += &quoted(random, style, key);
        text += &(space(random, style) + ":" + &space(random, style));
        text += &value.text;
        text += &space(random, style);
    }
    Json {
        value: Value::Object(members),
        text: text + "}",
    }
}

fn space(random: &mut Random, style: Style) -> String {
    if random.percent(style.odd) {
        random.one_of(&[" ", "  ", "\t", "\r\n", "\n   "]).to_owned()
    } else {
        String::new()
    }
}
