"""The page's HTML, as templates; whoever fills them escapes the text first."""

from string import Template

__all__ = ["DOT", "FACT", "FIGURE", "PAGE", "SECTION", "TABLE"]

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { --ink: #2b2f33; --quiet: #666d74; --line: #e3e6e9; --brand: #2a6f97; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto,
  "DejaVu Sans", sans-serif; }
main { max-width: 58rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.65rem; line-height: 1.25; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.1rem; margin: 2.8rem 0 .6rem; padding-top: 1rem; border-top: 1px solid var(--line); }
p { margin: .5rem 0; max-width: 44rem; }
.asked, figcaption, .note { color: var(--quiet); }
.answer { font-size: 1.15rem; margin: .8rem 0 1.4rem; }
.warning { border-left: 3px solid #d55e00; padding-left: .8rem; }
figure { margin: .8rem 0 0; }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption, .note { font-size: .86rem; margin-top: .5rem; max-width: 46rem; }
.facts { display: flex; flex-wrap: wrap; gap: .5rem 1.7rem; margin: 0; }
.facts dt { font-size: .8rem; color: var(--quiet); }
.facts dd { margin: 0; font-size: 1.2rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; margin: .6rem 0 0; }
th, td { padding: .28rem .9rem .28rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--quiet); vertical-align: bottom; white-space: normal; line-height: 1.3; }
th:first-child, td:first-child { text-align: left; }
table.words th { text-align: left; }
table.words td { text-align: left; white-space: normal; overflow-wrap: anywhere; vertical-align: top; }
table.words td:first-child { white-space: nowrap; color: var(--quiet); }
.dot { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .5em; }
footer { margin-top: 3rem; color: var(--quiet); font-size: .86rem; }
@media print { main { padding: 0; max-width: none; } h2, figure, table { break-inside: avoid; } }
</style>
</head>
<body>
<main>
<h1>$title</h1>
$sections
<footer>Made by Mixtura $version.</footer>
</main>
</body>
</html>
""")

SECTION = Template("""<section>
<h2>$title</h2>
$body
</section>
""")

FIGURE = Template("""<figure>
<img src="data:image/svg+xml;base64,$data" alt="$alt">
<figcaption>$caption</figcaption>
</figure>
""")

TABLE = Template("""<div class="scroll"><table class="$kind">
<thead><tr>$head</tr></thead>
<tbody>
$body
</tbody>
</table></div>
""")

FACT = Template("<div><dt>$name</dt><dd>$value</dd></div>")

DOT = Template('<span class="dot" style="background:$color"></span>$number')
