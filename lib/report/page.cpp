#include "report/page.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/chart.h"
#include "report/costs.h"
#include "report/lineage.h"
#include "report/panels.h"
#include "report/superb.h"
#include "report/tables.h"
#include "report/text.h"

namespace retort {
namespace {

// Colours of runs are those of Okabe and Ito (Color Universal Design, 2008), which colour-blind readers can
// tell apart, without the yellow and with a lighter blue on dark ground. Beyond six runs lines are dashed
// too.
constexpr const char* style = R"css(
:root { color-scheme: light; --ground: #fff; --text: #1c1c1c; --soft: #666; --rule: #ddd;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #cc79a7; --c4: #e69f00; --c5: #56b4e9; }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --ground: #16181b; --text: #e8e8e8; --soft: #a0a0a0; --rule: #3a3d42;
    --c0: #4a9fdc; --c1: #f07b2a; --c2: #1fbf8f; } }
body { background: var(--ground); color: var(--text); font: 15px/1.45 system-ui, sans-serif; margin: 0 auto;
  max-width: 90rem; padding: 1rem 1.5rem; }
h1 { font-size: 1.5rem; margin: .3rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .2rem; }
.soft, footer { color: var(--soft); } footer { margin-top: 2rem; font-size: .85rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { border-bottom: 1px solid var(--rule); padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top; }
th { font-weight: 600; } .number { text-align: right; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; margin: 0; font-size: .85rem; }
.legend span { display: inline-flex; align-items: center; gap: .4rem; } .legend svg { width: 26px; height: 8px; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(24rem, 100%), 1fr)); gap: .8rem 1.6rem; }
figure { margin: .4rem 0 0; break-inside: avoid; } figcaption { font-size: .85rem; font-weight: 600; }
svg { display: block; width: 100%; } svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
svg .value { fill: var(--text); }
.grid { stroke: var(--rule); fill: none; } .axis { stroke: var(--soft); }
.line { fill: none; stroke: var(--line); stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
.band { fill: var(--line); stroke: none; opacity: .22; } .spot { fill: transparent; } .spot:hover { fill: var(--line); } .bar, .dot { fill: var(--c0); }
.c0 { --line: var(--c0); } .c1 { --line: var(--c1); } .c2 { --line: var(--c2); } .c3 { --line: var(--c3); }
.c4 { --line: var(--c4); } .c5 { --line: var(--c5); } .dashed { stroke-dasharray: 6 4; }
.reference { --line: var(--soft); stroke-width: 1; }
.r1 { stroke-dasharray: 5 3; } .r2 { stroke-dasharray: 1 3; } .r3 { stroke-dasharray: 7 3 1 3; }
details { margin: .6rem 0; } summary { cursor: pointer; }
pre { overflow-x: auto; font-size: .8rem; border-left: 2px solid var(--rule); padding-left: .8rem; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } h2, h3 { break-after: avoid; } tr { break-inside: avoid; }
  .panels { grid-template-columns: repeat(2, 1fr); } .wide, pre { overflow: visible; } pre { white-space: pre-wrap; } }
)css";

// How each run's line looks, everywhere on the page.
std::vector<std::string> line_classes(const std::vector<Run>& runs) {
  constexpr std::size_t colours = 6;
  constexpr std::size_t reference_patterns = 4;
  std::vector<std::string> classes;
  std::size_t run_index = 0;
  std::size_t reference_index = 0;
  for (const Run& run : runs) {
    if (run.is_reference()) {
      classes.push_back(fmt::format("reference r{}", reference_index++ % reference_patterns));
      continue;
    }
    classes.push_back(
        fmt::format("c{}{}", run_index % colours, run_index / colours % 2 == 1 ? " dashed" : ""));
    ++run_index;
  }
  return classes;
}

std::string html_row(const std::vector<std::string>& cells, const char* tag, std::size_t texts) {
  std::string row = "<tr>";
  for (std::size_t i = 0; i < cells.size(); ++i)
    row += fmt::format("<{0}{1}>{2}</{0}>", tag, i < texts ? "" : " class=\"number\"", escape_html(cells[i]));
  return row + "</tr>\n";
}

std::string html_table(const Table& table) {
  std::string html =
      "<div class=\"wide\"><table>\n<thead>" + html_row(table.head, "th", table.texts) + "</thead>\n";
  for (const auto& row : table.rows) html += html_row(row, "td", table.texts);
  return html + "</table></div>\n";
}

std::string figure(const std::string& caption, const std::string& note, const std::string& chart) {
  return fmt::format("<figure><figcaption>{}{}</figcaption>{}</figure>\n", escape_html(caption),
                     note.empty() ? "" : fmt::format(" <span class=\"soft\">({})</span>", note), chart);
}

// Curves of all runs, a panel per quantity.
class CurveSection {
 public:
  explicit CurveSection(const std::vector<Run>& runs) : runs_(runs), classes_(line_classes(runs)) {}

  std::string html() const {
    if (runs_.empty()) return "";
    std::string html =
        "<h2>Curves</h2>\n<p class=\"soft\">Over training steps. The pointer over a line shows values.</p>\n";
    for (const PanelGroup& group : arrange_panels(runs_)) html += group_html(group);
    return html;
  }

 private:
  std::string group_html(const PanelGroup& group) const {
    std::string html = group.folded ? fmt::format("<details><summary>{}</summary>\n", group.title)
                                    : fmt::format("<h3>{}</h3>\n", group.title);
    html += legend(group) + "<div class=\"panels\">\n";
    for (const Panel& panel : group.panels) html += panel_html(panel);
    return html + (group.folded ? "</div></details>\n" : "</div>\n");
  }

  std::string panel_html(const Panel& panel) const {
    std::vector<ChartLine> lines;
    std::vector<double> values;
    int64_t last_step = 0;
    for (const PanelCurve& drawn : panel.curves) {
      const Run& run = runs_[drawn.run];
      lines.push_back({run.title(), classes_[drawn.run], run.is_reference() ? run.name : "", drawn.curve,
                       drawn.low, drawn.high});
      for (const Curve* curve : {drawn.curve, drawn.low, drawn.high})
        if (curve != nullptr)
          for (const Point& point : curve->points) values.push_back(point.value);
      last_step = std::max(last_step, drawn.curve->points.back().step);
    }
    const Axis steps = Axis::linear(0, static_cast<double>(last_step), false);
    const Axis axis = Axis::fitting(std::move(values));
    return figure(panel.key, axis.is_logarithmic() ? "logarithmic" : "", line_chart(lines, steps, axis));
  }

  // Of the runs that are drawn in the group.
  std::string legend(const PanelGroup& group) const {
    std::string html = "<p class=\"legend\">";
    for (std::size_t i = 0; i < runs_.size(); ++i)
      if (draws(group, i))
        html += fmt::format(
            "<span><svg viewBox=\"0 0 26 8\"><path class=\"line {}\" d=\"M1 4H25\"/></svg>{}</span>",
            classes_[i], escape_html(runs_[i].title()));
    return html + "</p>\n";
  }

  static bool draws(const PanelGroup& group, std::size_t run) {
    return std::any_of(group.panels.begin(), group.panels.end(), [run](const Panel& panel) {
      return std::any_of(panel.curves.begin(), panel.curves.end(),
                         [run](const PanelCurve& curve) { return curve.run == run; });
    });
  }

  const std::vector<Run>& runs_;
  std::vector<std::string> classes_;
};

struct MetricBars {
  std::string metric;
  std::vector<Bar> bars;

  bool all_equal() const {
    return bars.size() > 1 && std::all_of(bars.begin(), bars.end(),
                                          [this](const Bar& bar) { return bar.value == bars.front().value; });
  }
};

// Of each metric that is no detail of another one.
std::vector<MetricBars> bars_of_task(const std::vector<Score>& scores, const std::string& task) {
  std::vector<MetricBars> charts;
  for (const Score& score : scores) {
    if (score.task != task) continue;
    for (const auto& scored : score.metrics) {
      if (scored.first.find('.') != std::string::npos) continue;
      auto chart = std::find_if(charts.begin(), charts.end(),
                                [&scored](const MetricBars& c) { return c.metric == scored.first; });
      if (chart == charts.end()) chart = charts.insert(charts.end(), {scored.first, {}});
      chart->bars.push_back({score.name, scored.second});
    }
  }
  return charts;
}

// What is the same for all (the entropy of the phones, say) is left to the table.
std::string score_charts(const std::vector<Score>& scores, const std::string& task) {
  std::string html = "<div class=\"panels\">\n";
  for (const MetricBars& chart : bars_of_task(scores, task))
    if (!chart.all_equal()) html += figure(chart.metric, "", bar_chart(chart.bars));
  return html + "</div>\n";
}

std::string score_section(const std::vector<Score>& scores) {
  if (scores.empty()) return "";
  std::string html = "<h2>Evaluations</h2>\n";
  for (const Table& table : tables_of_scores(scores))
    html += fmt::format("<h3>{}</h3>\n", escape_html(table.title)) + html_table(table) +
            score_charts(scores, table.title);
  return html;
}

// How much each layer counts for a probe, a chart per result.
std::string layer_weight_section(const std::vector<Score>& scores) {
  std::string html;
  for (const Score& score : scores) {
    if (score.layer_weights.size() < 2) continue;
    std::vector<Bar> bars;
    for (const auto& [layer, weight] : score.layer_weights) bars.push_back({layer, weight});
    html += figure(fmt::format("{} {}", score.task, score.name), "", bar_chart(bars));
  }
  if (html.empty()) return "";
  return "<h2>Layer weights</h2>\n<p class=\"soft\">What probes learned to weigh the layers by; mean over "
         "seeds.</p>\n<div class=\"panels\">\n" +
         html + "</div>\n";
}

std::string cost_section(const std::vector<Score>& scores) {
  std::string html;
  for (const CostChart& chart : cost_charts(scores)) {
    std::vector<double> costs, values;
    for (const Dot& dot : chart.dots) {
      costs.push_back(dot.x);
      values.push_back(dot.y);
    }
    const auto [least, most] = std::minmax_element(costs.begin(), costs.end());
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    html +=
        figure(chart.title, "logarithmic",
               scatter_chart(chart.dots, Axis::logarithmic(*least, *most), Axis::linear(*low, *high, true)));
  }
  if (html.empty()) return "";
  return "<h2>Scores over size and speed</h2>\n<div class=\"panels\">\n" + html + "</div>\n";
}

std::string superb_section(const std::vector<Score>& scores) {
  const Table table = table_of_superb(scores);
  if (table.rows.empty()) return "";
  return fmt::format("<h2>{}</h2>\n{}<p class=\"soft\">{}</p>\n", table.title, html_table(table),
                     escape_html(superb_note));
}

std::string config_section(const std::vector<Run>& runs) {
  std::string html;
  for (const Run& run : runs)
    if (!run.is_reference())
      html += fmt::format("<details><summary>Configuration of {}</summary><pre>{}</pre></details>\n",
                          escape_html(run.name), escape_html(run.config.dump(2)));
  return html;
}

std::string section(const Table& table) {
  if (table.rows.empty()) return "";
  return fmt::format("<h2>{}</h2>\n", table.title) + html_table(table);
}

}  // namespace

std::string report_page(const Sources& sources) {
  return fmt::format(
             "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
             "<title>Retort report</title>\n<style>{}</style>\n</head>\n<body>\n<h1>Retort report</h1>\n",
             style) +
         section(table_of_runs(sources.runs)) + section(table_of_lineage(sources.runs)) +
         CurveSection(sources.runs).html() + section(table_of_last_values(sources.runs)) +
         superb_section(sources.scores) + cost_section(sources.scores) +
         layer_weight_section(sources.scores) + score_section(sources.scores) + config_section(sources.runs) +
         "<footer>retort-report " RETORT_VERSION "</footer>\n</body>\n</html>\n";
}

}  // namespace retort
