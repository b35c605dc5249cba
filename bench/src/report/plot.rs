//! Lines over axes, drawn by plotters as SVG, in colours that a page or a picture can turn for light and dark.
//!
//! Servers are told apart by colour and by marker; plotters writes colours as attributes, which a style sheet overrides by their value.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

use crate::server::Kind;

/// How an axis runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Evenly, from 0.
    Linear,
    /// By powers of ten.
    Log,
}

/// One axis.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// What it shows, with its unit.
    pub(crate) name: &'static str,
    /// How it runs.
    pub(crate) scale: Scale,
    /// A value as text.
    pub(crate) text: fn(f64) -> String,
}

/// One server's points.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Whose.
    pub(crate) server: Kind,
    /// What is behind the server's name: a quantile; may be empty.
    pub(crate) suffix: &'static str,
    /// From left to right.
    pub(crate) points: Vec<(f64, f64)>,
}

/// A picture of lines.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    /// What it shows.
    pub(crate) title: &'static str,
    /// To the right.
    pub(crate) x: Axis,
    /// Up.
    pub(crate) y: Axis,
    /// The lines.
    pub(crate) lines: Vec<Line>,
}

impl Line {
    /// As the legend has it.
    pub(crate) fn label(&self) -> String {
        format!("{}{}", name(self.server), self.suffix)
    }
}

/// A server's name for people.
pub(crate) fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Ringkeeper => "Ringkeeper",
        Kind::Reference => "ZooKeeper",
        Kind::Constant => "constant replies",
        Kind::Epoll => "bare epoll",
        Kind::Forced => "forced constant",
    }
}

/// Colours that stand off from white and from black alike.
fn colour(kind: Kind) -> RGBColor {
    match kind {
        Kind::Ringkeeper => RGBColor(0xd6, 0x33, 0x6c),
        Kind::Reference => RGBColor(0x2f, 0x7e, 0xd8),
        Kind::Constant => RGBColor(0x2f, 0x9e, 0x44),
        Kind::Epoll => RGBColor(0x8a, 0x63, 0xd2),
        Kind::Forced => RGBColor(0xc7, 0x7d, 0x0a),
    }
}

/// What text and axes are drawn in; [`STYLE`] turns them.
const INK: RGBColor = RGBColor(0x11, 0x11, 0x11);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

/// The style sheet of a picture, with the two colours as variables.
pub(crate) const STYLE: &str = "svg [fill=\"#111111\"]{fill:var(--ink)} svg [stroke=\"#111111\"]{stroke:var(--ink)} \
    svg [stroke=\"#DDDDDD\"]{stroke:var(--grid)} svg text{font-family:system-ui,sans-serif}";

/// The variables, light and dark.
pub(crate) const COLOURS: &str = ":root{--ink:#1c1c1e;--grid:#dddddf;--paper:#ffffff;--soft:#5c5c63;--good:#1d7a3a;--bad:#b3261e}\
    @media (prefers-color-scheme: dark){:root{--ink:#e8e8ea;--grid:#3a3a3f;--paper:#151517;--soft:#a0a0a8;--good:#6fce8b;--bad:#ff8a80}}";

const SIZE: (u32, u32) = (720, 420);

/// One plot as SVG.
///
/// # Errors
/// It cannot be drawn.
pub(crate) fn svg(plot: &Plot) -> Result<String> {
    let mut out = String::new();
    {
        let area = SVGBackend::with_string(&mut out, SIZE).into_drawing_area();
        draw(plot, &area)?;
        area.present().map_err(|error| anyhow!("{error}"))?;
    }
    Ok(labelled(&out, plot.title))
}

/// Plots side by side in a file of their own, which follows the reader's light or dark by itself.
///
/// # Errors
/// They cannot be drawn.
pub(crate) fn standing_alone(plots: &[Plot]) -> Result<String> {
    let mut out = String::new();
    {
        let size = (SIZE.0 * plots.len() as u32, SIZE.1);
        let whole = SVGBackend::with_string(&mut out, size).into_drawing_area();
        for (plot, area) in plots.iter().zip(whole.split_evenly((1, plots.len()))) {
            draw(plot, &area)?;
        }
        whole.present().map_err(|error| anyhow!("{error}"))?;
    }
    let titles: Vec<&str> = plots.iter().map(|it| it.title).collect();
    let labelled = labelled(&out, &titles.join("; "));
    let ground = "<rect width=\"100%\" height=\"100%\" style=\"fill:var(--paper)\"/>";
    let style = format!("<style>{COLOURS}{STYLE}</style>{ground}");
    Ok(labelled.replacen("</title>", &format!("</title>{style}"), 1))
}

/// With a name that is read out, and in the width that there is.
fn labelled(svg: &str, title: &str) -> String {
    let named = svg.replacen("<svg ", "<svg role=\"img\" ", 1);
    named.replacen(
        "xmlns=\"http://www.w3.org/2000/svg\">",
        &format!("xmlns=\"http://www.w3.org/2000/svg\"><title>{title}</title>"),
        1,
    )
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw(plot: &Plot, area: &Area<'_>) -> Result<()> {
    let [x, y] = [range(plot, &plot.x, |it| it.0), range(plot, &plot.y, |it| it.1)];
    match (plot.x.scale, plot.y.scale) {
        (Scale::Linear, Scale::Linear) => on(plot, area, x, y),
        (Scale::Linear, Scale::Log) => on(plot, area, x, y.log_scale()),
        (Scale::Log, Scale::Linear) => on(plot, area, x.log_scale(), y),
        (Scale::Log, Scale::Log) => on(plot, area, x.log_scale(), y.log_scale()),
    }
}

/// From where to where an axis goes.
fn range(plot: &Plot, axis: &Axis, of: fn(&(f64, f64)) -> f64) -> std::ops::Range<f64> {
    let all = || plot.lines.iter().flat_map(|line| line.points.iter().map(of));
    let least = all().fold(f64::INFINITY, f64::min);
    let most = all().fold(f64::NEG_INFINITY, f64::max);
    if !least.is_finite() || !most.is_finite() {
        return 1.0..10.0;
    }
    match axis.scale {
        Scale::Linear => 0.0..(most * 1.05).max(1e-9),
        Scale::Log => {
            let (least, most) = (least.max(1e-9), most.max(1e-9));
            least / 1.3..(most * 1.3).max(least * 2.0)
        }
    }
}

fn on<X, Y>(plot: &Plot, area: &Area<'_>, x: X, y: Y) -> Result<()>
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let wrong = |error: DrawingAreaErrorKind<_>| -> anyhow::Error {
        let error: DrawingAreaErrorKind<std::io::Error> = error;
        anyhow!("{error}")
    };
    let font = |size: u32| ("sans-serif", size).into_font().color(&INK);
    let mut chart = ChartBuilder::on(area)
        .margin(14)
        .caption(plot.title, font(17))
        .x_label_area_size(46)
        .y_label_area_size(78)
        .build_cartesian_2d(x, y)
        .map_err(wrong)?;
    chart
        .configure_mesh()
        .axis_style(INK)
        .bold_line_style(GRID)
        .max_light_lines(0)
        .x_labels(8)
        .y_labels(if plot.y.scale == Scale::Log { 24 } else { 8 })
        .x_desc(plot.x.name)
        .y_desc(plot.y.name)
        .x_label_formatter(&|it| (plot.x.text)(*it))
        .y_label_formatter(&|it| (plot.y.text)(*it))
        .axis_desc_style(font(14))
        .label_style(font(13))
        .draw()
        .map_err(wrong)?;
    for line in &plot.lines {
        let colour = colour(line.server);
        let (style, solid) = (colour.stroke_width(2), colour.filled());
        let points = || line.points.iter().copied();
        let stroke = move || PathElement::new([(0, 0), (22, 0)], style);
        let series = chart.draw_series(LineSeries::new(points(), style)).map_err(wrong)?;
        let series = series.label(line.label());
        // A disc, a triangle or a cross, so that lines are told apart without colours. A long line is smooth without.
        let marked = || points().filter(|_| line.points.len() <= 16);
        let at = |(x, y)| EmptyElement::at((x, y));
        let drawn = match line.server {
            Kind::Ringkeeper => {
                series.legend(move |it| at(it) + stroke() + Circle::new((11, 0), 4, solid));
                chart.draw_series(marked().map(|it| Circle::new(it, 4, solid)))
            }
            Kind::Reference => {
                series.legend(move |it| at(it) + stroke() + TriangleMarker::new((11, 0), 5, solid));
                chart.draw_series(marked().map(|it| TriangleMarker::new(it, 5, solid)))
            }
            _ => {
                series.legend(move |it| at(it) + stroke() + Cross::new((11, 0), 4, style));
                chart.draw_series(marked().map(|it| Cross::new(it, 4, style)))
            }
        };
        drawn.map_err(wrong)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(font(13))
        .draw()
        .map_err(wrong)
}

/// 1500 as `1.5k`, 2000000 as `2M`.
pub(crate) fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        it if it >= 1e6 => (value / 1e6, "M"),
        it if it >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{scaled:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{unit}")
}

/// Microseconds in the unit that reads best.
pub(crate) fn time(us: f64) -> String {
    match us {
        us if us >= 1e6 => format!("{} s", short(us / 1e6)),
        us if us >= 1e3 => format!("{} ms", short(us / 1e3)),
        us => format!("{} µs", short(us)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Axis, Line, Plot, Scale, short, standing_alone, svg, time};
    use crate::server::Kind;

    fn plot(x: Scale, y: Scale) -> Plot {
        let axis = |scale| Axis { name: "an axis", scale, text: short };
        let points = vec![(1.0, 10.0), (100.0, 1e6)];
        let line = |server| Line { server, suffix: "", points: points.clone() };
        let lines = vec![line(Kind::Ringkeeper), line(Kind::Reference), line(Kind::Epoll)];
        Plot { title: "some lines", x: axis(x), y: axis(y), lines }
    }

    #[test]
    fn every_pair_of_scales_is_drawn_with_a_title_and_a_legend() {
        for (x, y) in [
            (Scale::Linear, Scale::Linear),
            (Scale::Linear, Scale::Log),
            (Scale::Log, Scale::Linear),
            (Scale::Log, Scale::Log),
        ] {
            let svg = svg(&plot(x, y)).unwrap();
            assert!(svg.contains("<title>some lines</title>"), "{svg}");
            assert!(svg.contains("ZooKeeper") && svg.contains("role=\"img\""));
        }
    }

    #[test]
    fn a_plot_without_points_is_drawn_too() {
        let empty = Plot { lines: Vec::new(), ..plot(Scale::Log, Scale::Linear) };
        svg(&empty).unwrap();
    }

    #[test]
    fn a_picture_that_stands_alone_has_its_own_colours() {
        let both = [plot(Scale::Linear, Scale::Log), plot(Scale::Log, Scale::Log)];
        let svg = standing_alone(&both).unwrap();
        assert!(svg.contains("prefers-color-scheme: dark") && svg.contains("width=\"1440\""));
    }

    #[test]
    fn large_numbers_are_short() {
        assert_eq!(
            (short(1500.0), short(2e6), short(0.25)),
            ("1.5k".into(), "2M".into(), "0.25".into())
        );
        assert_eq!(
            (time(12.0), time(1200.0), time(3e6)),
            ("12 µs".into(), "1.2 ms".into(), "3 s".into())
        );
    }
}
