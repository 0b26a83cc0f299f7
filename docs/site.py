"""Hooks of the site: pictures of stored results, which lie beside the benchmarks that drew them."""

from pathlib import Path

from mkdocs.structure.files import File

RESULTS = Path(__file__).parents[1] / "bench" / "results"


def on_files(files, config):
    """Add the pictures to the site."""
    for picture in sorted(RESULTS.glob("*.png")):
        content = picture.read_bytes()
        files.append(File.generated(config, f"results/{picture.name}", content=content))
    return files


def on_page_markdown(markdown, page, config, files):
    """Point links from where the pictures are in the repository to where they are on the site."""
    return markdown.replace("](../bench/results/", "](results/")
