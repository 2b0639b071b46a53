//! Images by content: `{{docker.image[NAME][TAG]}}` in a job becomes the image that a tag stands for
//! now, by its digest, so that all instances run the same.
//!
//! Source of behaviour: Aurora configuration reference, "Binding helpers".

use aurora_schema::interpolate::Interpolated;
use aurora_schema::scope::Bindings;
use aurora_schema::template::{Component, Ref};
use aurora_schema::value::Value;

use crate::problem::{Problem, Stage, origin_of};

/// Who knows which content an image has.
pub trait Images {
    /// The image that a name and a tag stand for in a cluster's registry, as it is written in a job:
    /// `NAME@DIGEST`, with the registry in front unless that is the usual one.
    ///
    /// # Errors
    /// There is no such cluster or image, or no way to it: a sentence.
    fn by_digest(&mut self, cluster: &str, name: &str, tag: &str) -> Result<String, String>;
}

/// Whether a job leaves images open.
pub fn is_wanted(job: &Interpolated) -> bool {
    job.unbound.keys().any(|reference| image(reference).is_some())
}

/// Name and tag, if a reference is one to an image.
fn image(reference: &Ref) -> Option<(&str, &str)> {
    match reference.components() {
        [
            Component::Name(docker),
            Component::Name(image),
            Component::Index(name),
            Component::Index(tag),
        ] if **docker == *"docker" && **image == *"image" => Some((name, tag)),
        _ => None,
    }
}

/// The images that a job leaves open, as bindings. The job comes along for the place of mistakes.
pub fn bindings(
    job: &Value,
    done: &Interpolated,
    images: &mut dyn Images,
) -> Result<Bindings, Problem> {
    let mut bindings = Bindings::new();
    let cluster = done.value.attribute("cluster").and_then(Value::as_text).unwrap_or_default();
    for (reference, place) in &done.unbound {
        let Some((name, tag)) = image(reference) else { continue };
        let found = images.by_digest(cluster, name, tag).and_then(|image| {
            let address = reference.to_string();
            bindings.bind(&address, &image).map_err(|error| error.to_string())
        });
        found.map_err(|why| {
            let message = format!("cannot look up the image {name}:{tag} (in {place}): {why}");
            Problem::new(Stage::Config, "ImageError", message)
                .with_help("without a registry, write the image itself: NAME:TAG or NAME@DIGEST")
                .at(origin_of(job, place))
        })?;
    }
    Ok(bindings)
}
