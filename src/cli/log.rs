//! What the program says of its work: lines on standard error, and traces for a collector.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::arguments::LogFormat;

/// The log of the program, until it is dropped: what is still to be sent is sent then.
#[must_use]
pub(super) struct Log {
    #[cfg(feature = "otlp")]
    _traces: Option<otlp::Traces>,
}

impl Log {
    /// Writes lines to standard error as `POSIXLAKE_LOG` asks for (none without it), and sends spans to the collector that
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` names.
    pub(super) fn start(format: LogFormat) -> Self {
        let lines = EnvFilter::try_from_env("POSIXLAKE_LOG").ok().map(|filter| {
            let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
            match format {
                LogFormat::Text => lines.with_filter(filter).boxed(),
                LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
            }
        });
        let registry = Registry::default().with(lines);
        #[cfg(feature = "otlp")]
        let (registry, traces) = {
            let (traces, layer) = otlp::Traces::start().unzip();
            (registry.with(layer), traces)
        };
        // The first log stands.
        let _ = registry.try_init();
        Self {
            #[cfg(feature = "otlp")]
            _traces: traces,
        }
    }
}

#[cfg(feature = "otlp")]
mod otlp {
    use std::io::Write;
    use std::time::Duration;

    use opentelemetry::trace::TracerProvider;
    use opentelemetry_otlp::{OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, SpanExporter};
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::{Level, Subscriber};
    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::registry::LookupSpan;

    /// How long the end of the program waits for a collector.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// Spans on their way to a collector.
    pub(super) struct Traces(SdkTracerProvider);

    impl Traces {
        /// Where the environment names a collector: what sends spans to it, and what takes them in. What else OpenTelemetry
        /// has variables for (headers, time-outs, the sampler, the service's name) is read by its library.
        pub(super) fn start<S>() -> Option<(Self, Box<dyn Layer<S> + Send + Sync>)>
        where
            S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
        {
            let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
            if !is_set(OTEL_EXPORTER_OTLP_ENDPOINT) && !is_set(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)
                || std::env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"))
            {
                return None;
            }
            let exporter = match SpanExporter::builder().with_http().build() {
                Ok(exporter) => exporter,
                Err(error) => {
                    let _ = writeln!(std::io::stderr(), "warning: no traces are sent: {error}");
                    return None;
                }
            };
            let mut resource = Resource::builder();
            if !is_set("OTEL_SERVICE_NAME") {
                resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
            }
            let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
            let provider = SdkTracerProvider::builder()
                .with_resource(resource.with_attribute(version).build())
                .with_batch_exporter(exporter)
                .build();
            let layer = tracing_opentelemetry::layer()
                .with_tracer(provider.tracer(env!("CARGO_PKG_NAME")))
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                // What sends the spans makes some itself, which are not to be sent.
                .with_filter(Targets::new().with_target("posixlake", Level::INFO));
            Some((Self(provider), layer.boxed()))
        }
    }

    impl Drop for Traces {
        fn drop(&mut self) {
            if let Err(error) = self.0.shutdown_with_timeout(PATIENCE) {
                let _ = writeln!(std::io::stderr(), "warning: traces were lost: {error}");
            }
        }
    }
}
