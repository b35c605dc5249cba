//! Trees of a given shape, each znode made from its number alone.

/// The shape of a tree.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TreeShape {
    /// One directory of leaves whose path has 30 bytes, each with the same number of bytes of data.
    Leaves,
    /// As trees in the field were seen: paths of 114 bytes, last components of 24, 43 % of the leaves without data and
    /// 82 bytes in each of the others, so 46.5 on average; a thousand leaves in a directory six levels down.
    Field,
}

/// A tree of one shape below one root.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    shape: TreeShape,
    leaves: u64,
    data: Vec<u8>,
}

/// Leaves in one directory of [`TreeShape::Field`].
const FIELD_CHILDREN: u64 = 1_000;

/// The parent of the leaves of [`TreeShape::Leaves`].
const LEAVES_ROOT: &str = "/bench/leaves-30-b";

impl Tree {
    /// A tree of `leaves` leaves; `size` is the data of each in [`TreeShape::Leaves`], bytes.
    pub(crate) fn new(shape: TreeShape, leaves: u64, size: usize) -> Self {
        let len = if shape == TreeShape::Leaves { size } else { 82 };
        Self { shape, leaves, data: vec![b'x'; len] }
    }

    /// Leaves.
    pub(crate) fn leaves(&self) -> u64 {
        self.leaves
    }

    /// The directories, parents first.
    pub(crate) fn directories(&self) -> Vec<String> {
        match self.shape {
            TreeShape::Leaves => vec!["/bench".to_owned(), LEAVES_ROOT.to_owned()],
            TreeShape::Field => {
                let mut all = vec!["/clickhouse".to_owned(), "/clickhouse/tables".to_owned()];
                for table in 0..self.leaves.div_ceil(FIELD_CHILDREN) {
                    let path = field_directory(table);
                    let depths = path.match_indices('/').skip(3).map(|(at, _)| at);
                    all.extend(depths.map(|end| path[..end].to_owned()));
                    all.push(path.clone());
                }
                all
            }
        }
    }

    /// The path and the data of a leaf.
    pub(crate) fn leaf(&self, number: u64) -> (String, &[u8]) {
        match self.shape {
            TreeShape::Leaves => (format!("{LEAVES_ROOT}/n{number:010}"), &self.data),
            TreeShape::Field => {
                let parent = field_directory(number / FIELD_CHILDREN);
                let path = format!("{parent}/all_{:08}_{number:011}", number % FIELD_CHILDREN);
                let empty = number % 100 < 43;
                (path, if empty { &[] } else { &self.data })
            }
        }
    }
}

/// A table's id is spread over its 36 characters, as those of random ids are.
fn field_directory(table: u64) -> String {
    let mixed = (table + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let id = format!("{mixed:016x}{:016x}", mixed.wrapping_mul(0xff51_afd7_ed55_8ccd));
    format!(
        "/clickhouse/tables/{}-{}-{}-{}-{}/01/replicas/replica-host-01/parts",
        &id[..8],
        &id[8..12],
        &id[12..16],
        &id[16..20],
        &id[20..32]
    )
}

#[cfg(test)]
mod tests {
    use super::{Tree, TreeShape};

    #[test]
    fn leaves_have_paths_of_thirty_bytes() {
        let tree = Tree::new(TreeShape::Leaves, 10, 100);
        let (path, data) = tree.leaf(7);
        assert_eq!((path.len(), data.len()), (30, 100));
    }

    #[test]
    fn the_field_shape_has_the_figures_it_names() {
        let tree = Tree::new(TreeShape::Field, 2_000, 100);
        let leaves: Vec<(String, usize)> =
            (0..2_000).map(|it| tree.leaf(it)).map(|(path, data)| (path, data.len())).collect();
        assert!(leaves.iter().all(|(path, _)| path.len() == 114), "{}", leaves[0].0);
        assert!(leaves.iter().all(|(path, _)| path.rsplit('/').next().map(str::len) == Some(24)));
        assert_eq!(leaves.iter().filter(|(_, len)| *len == 0).count(), 860);
        let bytes: usize = leaves.iter().map(|(_, len)| len).sum();
        assert!((46..48).contains(&(bytes / leaves.len())));
    }

    #[test]
    fn every_directory_comes_behind_its_parent_and_every_leaf_has_one() {
        let tree = Tree::new(TreeShape::Field, 2_500, 100);
        let directories = tree.directories();
        for (at, path) in directories.iter().enumerate() {
            let parent = path.rsplit_once('/').expect("absolute").0;
            assert!(parent.is_empty() || directories[..at].iter().any(|it| it == parent), "{path}");
        }
        let (path, _) = tree.leaf(2_499);
        let parent = path.rsplit_once('/').expect("absolute").0;
        assert!(directories.iter().any(|it| it == parent));
    }
}
