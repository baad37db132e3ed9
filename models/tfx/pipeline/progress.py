"""Lines that start with "progress " are for people; the TypeScript side shows them."""


def progress(text: str) -> None:
    print(f"progress {text}", flush=True)
