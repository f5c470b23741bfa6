"""The style of the page."""

STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #f5f6f8; color: #1d2430;
  font: 15px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 24px 16px 48px; }
h1 { font-size: 22px; margin: 0 0 8px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 32px 0 8px; }
h3 { font-size: 15px; margin: 24px 0 6px; }
h4 { font-size: 13px; margin: 14px 0 2px; color: #4a5568; }
p { margin: 4px 0; overflow-wrap: anywhere; }
.badge { display: inline-block; border-radius: 4px; padding: 0 8px; font-size: 13px;
  font-weight: 600; color: #fff; background: #64748b; }
.badge.none { background: #c3c9d4; }
.badge.error { background: #b3261e; }
.badge.warning { background: #a15c00; }
.finding { background: #fff; border: 1px solid #dde1e8; border-left: 5px solid #64748b;
  border-radius: 6px; margin: 8px 0; padding: 8px 12px; }
.finding.error { border-left-color: #b3261e; }
.finding.warning { border-left-color: #d98a1f; }
.remedy { color: #14532d; }
.remedy::before { content: "→ "; }
.places { color: #4a5568; font-size: 13px; }
.places summary { cursor: pointer; overflow-wrap: anywhere; }
.pictures { display: flex; flex-wrap: wrap; gap: 10px; margin-top: 8px; }
figure { margin: 0; max-width: 260px; }
figure img { display: block; max-width: 100%; border-radius: 3px; }
figcaption { font-size: 12px; color: #4a5568; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; background: #fff; font-size: 13px; }
th, td { border: 1px solid #dde1e8; padding: 3px 9px; text-align: left; }
th { background: #eceff4; font-weight: 600; }
td { font-variant-numeric: tabular-nums; }
td.number { text-align: right; }
td.bars { padding: 2px 4px; min-width: 190px; }
td.bars div { position: relative; height: 20px; }
td.bars i { position: absolute; inset: 1px auto 1px 0; background: #bcd0ea; border-radius: 2px; }
td.bars span { position: absolute; left: 6px; line-height: 20px; }
.chart { background: #fff; border: 1px solid #dde1e8; border-radius: 6px; padding: 4px; }
.chart img { display: block; width: 100%; height: auto; }
"""
