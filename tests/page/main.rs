//! Tests of the pages in a real browser: at phone and desktop widths and on paper nothing overflows, nothing is blank,
//! and nothing is fetched; the first screenful says what happened.
//!
//! A page runs no script, so another page embeds it in frames of each width and measures it. Without a browser on the
//! PATH the tests print a note and pass.

#![allow(clippy::print_stdout, reason = "a skipped test prints a note")]

use std::{
    env, fs,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

// The modules that the sample uses under `crate::`.
use foodstream::{
    analytics,
    audit::AuditDocument,
    replay,
    report::html::{CommandFacts, audit_page, lag_page, replay_page, scenario_page},
    scenario, state,
};

mod sample;

const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

fn browser() -> Option<PathBuf> {
    #[allow(clippy::disallowed_methods, reason = "finds the browser")]
    let path = env::var_os("PATH")?;
    let found =
        env::split_paths(&path).flat_map(|folder| BROWSERS.map(|name| folder.join(name))).find(|file| file.is_file());
    if found.is_none() {
        println!("no Chromium on the PATH: the pages were not tested");
    }
    found
}

/// Runs the browser without a window. All host names resolve to this test. Returns the browser's stdout and its
/// requests.
fn run(browser: &Path, folder: &Path, arguments: &[String]) -> (String, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (sender, asked) = mpsc::channel();
    // The thread ends with the test's process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 256];
            // A browser may open connections in advance without using them.
            if stream.set_read_timeout(Some(Duration::from_secs(1))).is_err() {
                return;
            }
            let length = stream.read(&mut head).unwrap_or_default();
            let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let line = String::from_utf8_lossy(&head[..length]).lines().next().unwrap_or_default().to_owned();
            // Sent before the response, since the browser may end after it.
            if sender.send(line).is_err() {
                return;
            }
            stream.write_all(answer).unwrap_or_default();
        }
    });
    let profile = folder.join("profile");
    let output = Command::new(browser)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-features=NetworkTimeServiceQuerying",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
            "--virtual-time-budget=10000",
            "--timeout=60000",
        ])
        .arg(format!("--host-resolver-rules=MAP * 127.0.0.1:{port}"))
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the browser runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The browser's own requests are encrypted, except the one for its clock. A page's request would also be encrypted
    // if the page contained an https URL, which another test excludes.
    let of_a_page = |line: &String| line.starts_with("GET ") && !line.starts_with("GET /time/");
    let asked = asked.try_iter().filter(of_a_page).collect();
    (String::from_utf8_lossy(&output.stdout).into_owned(), asked)
}

fn facts() -> CommandFacts {
    CommandFacts {
        command: "foodstream replay -b localhost:9092".to_owned(),
        group: "analytics-consumer-group".to_owned(),
        broker: "localhost:9092".to_owned(),
        version: "0.1.0".to_owned(),
        librdkafka: "2.12.1".to_owned(),
        started: "2026-11-22T12:41:07.113Z".to_owned(),
    }
}

fn pages() -> Vec<(&'static str, String)> {
    let subjects = sample::subjects().into_iter().map(|(name, document)| (name, scenario_page(&document)));
    let others = [
        ("failed", scenario_page(&sample::scenario())),
        ("replay", replay_page(&sample::replay(false), &facts())),
        ("lag-page", lag_page(&sample::lag(), &sample::events(), 121.0, &facts())),
    ];
    subjects.chain(others).chain(audits()).collect()
}

/// The sample documents of `audit`, with and without evidence.
fn audits() -> [(&'static str, String); 2] {
    [("audit", "audit"), ("audit-violated", "audit-service")].map(|(name, file)| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents").join(format!("{file}.json"));
        let text = fs::read_to_string(path).expect("a document");
        let document: AuditDocument = serde_json::from_str(&text).expect("a document");
        (name, audit_page(&document, &facts()))
    })
}

/// Whether the page of this name must have charts. The evidence of an audit is a list of records.
fn has_charts(name: &str) -> bool {
    !name.starts_with("audit")
}

/// Pages in frames of each width, and a script that measures them.
fn framed(pages: &[(&str, String)], widths: &[u32]) -> String {
    let frames = pages.iter().flat_map(|(name, page)| {
        let page = page.replace('&', "&amp;").replace('"', "&quot;");
        widths.iter().map(move |width| {
            format!(
                "<iframe title=\"{name}\" style=\"width:{width}px;height:900px;border:0\" srcdoc=\"{page}\"></iframe>\n"
            )
        })
    });
    let frames: String = frames.collect();
    format!(
        "<!doctype html><meta charset=utf-8><body>{frames}<pre id=found></pre><script>
window.addEventListener('load', () => {{
  const lines = [];
  for (const frame of document.querySelectorAll('iframe')) {{
    const inside = frame.contentDocument, root = inside.documentElement;
    for (const details of inside.querySelectorAll('details')) details.open = true;
    const shown = [...inside.querySelectorAll('svg[role=img]')].filter(svg => svg.getBoundingClientRect().width > 0);
    const count = where => [...inside.querySelectorAll(where)].filter(part => part.getBoundingClientRect().height > 0).length;
    const letters = shown.map(svg => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width * 11);
    const scrolled = [...inside.querySelectorAll('.expectations, .compared, .events, .dead-letters, .replays')]
      .filter(table => table.scrollWidth > table.parentElement.clientWidth + 1);
    // Words are broken at spaces and hyphens only.
    let broken = 0;
    for (const cell of inside.querySelectorAll('table:not(.dead-letters) :is(th, td)')) {{
      const walker = inside.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
      for (let text = walker.nextNode(); text; text = walker.nextNode()) {{
        for (const word of text.data.matchAll(/[^\\s-]{{2,20}}(?![^\\s-])/g)) {{
          if (word.index > 0 && /[^\\s-]/.test(text.data[word.index - 1])) continue;
          const range = inside.createRange();
          range.setStart(text, word.index);
          range.setEnd(text, word.index + word[0].length);
          if (new Set([...range.getClientRects()].map(part => Math.round(part.top))).size > 1) broken += 1;
        }}
      }}
    }}
    const header = inside.querySelector('header');
    const bottom = where => Math.max(0, ...[...header.querySelectorAll(where)].map(part => part.getBoundingClientRect().bottom));
    lines.push(['found', frame.title, frame.clientWidth, root.scrollWidth, root.scrollHeight, shown.length,
      count('.checks tbody tr'), count('.records li'), Math.floor(Math.min(99, ...letters) * 10), scrolled.length, broken,
      frame.contentWindow.performance.getEntriesByType('resource').length,
      Math.ceil(bottom('.verdict')), Math.ceil(bottom('.tiles')), Math.ceil(bottom('figure, table'))].join(' '));
  }}
  document.getElementById('found').textContent = lines.join('\\n');
}});
</script>"
    )
}

/// The measurements of a page at one width.
#[derive(Debug)]
struct Measured {
    name: String,
    width: u32,
    scroll_width: u32,
    height: u32,
    charts: u32,
    /// The rows of the checks of audits, and the records of their evidence.
    checks: u32,
    records: u32,
    /// The smallest letter of a chart, in tenths of a pixel.
    smallest_letter: u32,
    scrolled_tables: u32,
    /// Short words in tables that are on two lines.
    broken_words: u32,
    fetched: u32,
    /// The lower edges of the verdict, the tiles, and the picture or table next to them.
    verdict: u32,
    tiles: u32,
    picture: u32,
}

impl Measured {
    /// Whether the page shows all checks and all evidence of its audit, or else the charts of its run.
    fn is_complete(&self) -> bool {
        match self.name.as_str() {
            "audit" => (self.checks, self.records) == (13, 0),
            "audit-violated" => (self.checks, self.records) == (6, 6),
            _ => self.charts >= 2,
        }
    }
}

fn measure(browser: &Path, folder: &Path, pages: &[(&str, String)], widths: &[u32]) -> (Vec<Measured>, Vec<String>) {
    let file = folder.join("framed.html");
    fs::write(&file, framed(pages, widths)).expect("written");
    let (dom, asked) = run(browser, folder, &["--dump-dom".to_owned(), format!("file://{}", file.display())]);
    let found = dom.lines().filter_map(|line| line.split_once("found ").map(|(_, rest)| rest));
    let found = found
        .filter(|rest| rest.split_whitespace().count() >= 14)
        .map(|rest| {
            let mut words = rest.trim_end_matches("</pre>").split_whitespace();
            let name = words.next().expect("a name").to_owned();
            let mut number = || words.next().and_then(|word| word.split('<').next()?.parse().ok()).expect("a number");
            Measured {
                name,
                width: number(),
                scroll_width: number(),
                height: number(),
                charts: number(),
                checks: number(),
                records: number(),
                smallest_letter: number(),
                scrolled_tables: number(),
                broken_words: number(),
                fetched: number(),
                verdict: number(),
                tiles: number(),
                picture: number(),
            }
        })
        .collect();
    (found, asked)
}

#[test]
fn pages_fit_all_widths_and_fetch_nothing() {
    let Some(browser) = browser() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let pages = pages();
    let widths = [320, 390, 640, 800, 1400];
    let (found, asked) = measure(&browser, folder.path(), &pages, &widths);
    assert_eq!(asked, Vec::<String>::new(), "fetched something");
    assert_eq!(found.len(), pages.len() * widths.len(), "{found:?}");
    for measured in found {
        assert!(pages.iter().any(|(name, _)| *name == measured.name), "{measured:?}");
        assert!(measured.scroll_width <= measured.width, "wider than the screen: {measured:?}");
        assert!(measured.height > 900 && measured.is_complete(), "something is missing: {measured:?}");
        // On screens narrower than current phones scrolling and small letters are acceptable.
        let is_a_phone = measured.width >= 390;
        assert!(
            measured.smallest_letter >= if is_a_phone { 85 } else { 70 },
            "letters too small to read: {measured:?}"
        );
        assert!(measured.scrolled_tables == 0 || !is_a_phone, "a table needs horizontal scrolling: {measured:?}");
        assert!(measured.broken_words == 0 || !is_a_phone, "a word is on two lines: {measured:?}");
        assert_eq!(measured.fetched, 0, "fetched something: {measured:?}");
    }
}

#[test]
fn first_screenful_says_what_happened() {
    let Some(browser) = browser() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let pages: Vec<_> = pages().into_iter().filter(|(name, _)| *name != "failed").collect();
    let (found, _) = measure(&browser, folder.path(), &pages, &[400, 1400]);
    assert_eq!(found.len(), pages.len() * 2, "{found:?}");
    for measured in found {
        assert!(measured.verdict > 0 && measured.tiles > 0, "{measured:?}");
        if measured.width == 1400 {
            let lowest = measured.verdict.max(measured.tiles).max(measured.picture);
            assert!(lowest <= 900, "below the first screenful of 900 pixels: {measured:?}");
            assert!(
                measured.picture > 0 || measured.name == "replay" || !has_charts(&measured.name),
                "neither picture nor table: {measured:?}"
            );
        } else {
            assert!(measured.verdict <= 800, "below the first screenful of a phone: {measured:?}");
        }
    }
}

#[test]
fn paper_has_every_chart_and_no_overflow() {
    let Some(browser) = browser() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    // The rules for paper on a screen as wide as A4 within its margins.
    let printed = |(name, page): (&'static str, String)| {
        assert!(page.contains("@media print {"));
        (name, page.replace("@media print {", "@media all {"))
    };
    let pages: Vec<_> = pages().into_iter().map(printed).collect();
    let (found, _) = measure(&browser, folder.path(), &pages, &[680]);
    assert_eq!(found.len(), pages.len(), "{found:?}");
    for measured in found {
        assert!(measured.scroll_width <= 680 && measured.is_complete(), "{measured:?}");
        assert_eq!((measured.scrolled_tables, measured.broken_words), (0, 0), "{measured:?}");
    }
    let (page, pdf) = (folder.path().join("page.html"), folder.path().join("page.pdf"));
    fs::write(&page, scenario_page(&sample::scenario())).expect("written");
    let arguments = [format!("--print-to-pdf={}", pdf.display()), format!("file://{}", page.display())];
    run(&browser, folder.path(), &arguments);
    let pdf = fs::read(&pdf).expect("a document");
    assert!(pdf.starts_with(b"%PDF-") && pdf.len() > 20_000, "{} bytes", pdf.len());
}

#[test]
fn measurement_detects_planted_mistakes() {
    let Some(browser) = browser() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let page = scenario_page(&sample::scenario()).replace("default-src 'none'", "default-src *");
    let planted = "<p style=\"width:2000px\">wide</p><img src=\"http://example.test/planted.png\" alt=\"\"></main>";
    let (found, asked) = measure(&browser, folder.path(), &[("planted", page.replace("</main>", planted))], &[390]);
    assert!(found[0].scroll_width > 390, "{found:?}");
    assert!(asked.iter().any(|line| line.contains("/planted.png")), "{asked:?} {found:?}");
}

#[test]
fn screenshots_are_not_blank() {
    let Some(browser) = browser() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let pages = pages();
    let mut grounds = Vec::new();
    let looks = [(400, false), (800, false), (1400, false), (400, true), (800, true), (1400, true)];
    for (index, (width, dark)) in looks.into_iter().enumerate() {
        let file = folder.path().join("page.html");
        // A page of another subject at each width.
        fs::write(&file, &pages[index % 3].1).expect("written");
        let shot = folder.path().join(format!("{width}-{dark}.png"));
        let mut arguments = vec![
            format!("--screenshot={}", shot.display()),
            format!("--window-size={width},1600"),
            format!("file://{}", file.display()),
        ];
        if dark {
            arguments.insert(0, "--blink-settings=preferredColorScheme=0".to_owned());
        }
        run(&browser, folder.path(), &arguments);
        let pixels = pixels(&fs::read(&shot).expect("a screenshot"));
        grounds.push((pixels[0], dark));
        let mut colours = pixels.clone();
        colours.sort_unstable();
        colours.dedup();
        assert!(colours.len() > 100, "only {} colours at {width}", colours.len());
        let ground = pixels.iter().filter(|pixel| **pixel == pixels[0]).count();
        assert!(ground * 100 / pixels.len() < 98, "{} of {} pixels are the ground", ground, pixels.len());
    }
    let brightness = |pixel: &[u8; 3]| pixel.iter().map(|channel| u32::from(*channel)).sum::<u32>();
    for (ground, dark) in &grounds {
        assert!(if *dark { brightness(ground) < 200 } else { brightness(ground) > 600 }, "{dark}: {ground:?}");
    }
}

/// The pixels of a PNG in the browser's format: eight bits a channel, not interlaced.
fn pixels(png: &[u8]) -> Vec<[u8; 3]> {
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four bytes")) as usize;
    let (width, height) = (number(16), number(20));
    let channels = match png[25] {
        2 => 3,
        6 => 4,
        kind => panic!("colours of kind {kind}"),
    };
    assert_eq!((png[24], png[28]), (8, 0), "eight bits, not interlaced");
    let mut packed = Vec::new();
    let mut at = 8;
    while at < png.len() {
        let length = number(at);
        if &png[at + 4..at + 8] == b"IDAT" {
            packed.extend_from_slice(&png[at + 8..at + 8 + length]);
        }
        at += 12 + length;
    }
    let mut raw = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(&packed[..]), &mut raw).expect("unpacks");
    let line = width * channels;
    let mut above = vec![0_u8; line];
    let mut found = Vec::with_capacity(width * height);
    for row in raw.chunks_exact(line + 1) {
        let mut current = row[1..].to_vec();
        for index in 0..line {
            let left = if index >= channels { current[index - channels] } else { 0 };
            let corner = if index >= channels { above[index - channels] } else { 0 };
            let up = above[index];
            let predicted = match row[0] {
                0 => 0,
                1 => left,
                2 => up,
                3 => u8::midpoint(left, up),
                _ => {
                    let estimate = i16::from(left) + i16::from(up) - i16::from(corner);
                    let off = |side: u8| (estimate - i16::from(side)).abs();
                    if off(left) <= off(up) && off(left) <= off(corner) {
                        left
                    } else if off(up) <= off(corner) {
                        up
                    } else {
                        corner
                    }
                }
            };
            current[index] = current[index].wrapping_add(predicted);
        }
        found.extend(current.chunks_exact(channels).map(|pixel| [pixel[0], pixel[1], pixel[2]]));
        above = current;
    }
    found
}
