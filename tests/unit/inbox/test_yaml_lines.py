from kbd.inbox.yaml_lines import MAX_EVENTS, lines_of

TEXT = "a:\n  b:\n    - 1\n    - c/d: 2\n  e: 3\n"


def test_lines_are_those_of_the_keys():
    assert lines_of(TEXT, ["/a/b/1/c~1d"]) == {"": 1, "/a": 1, "/a/b": 2, "/a/b/1": 4, "/a/b/1/c~1d": 4}
    assert lines_of(TEXT, ["/a/b/0", "/a/e"]) == {"": 1, "/a": 1, "/a/b": 2, "/a/b/0": 3, "/a/e": 5}


def test_what_is_not_there_has_the_lines_of_what_it_would_be_in():
    assert lines_of(TEXT, ["/a/b/7/x"]) == {"": 1, "/a": 1, "/a/b": 2}


def test_a_key_that_is_a_list_hides_nothing():
    assert lines_of("? [a, b]\n: {c: 1}\nd: 2", ["/d"]) == {"": 1, "/d": 3}


def test_json_has_lines_too():
    assert lines_of('{\n "a": 1,\n "b": [\n  2]}', ["/b/0"])["/b/0"] == 4


def test_what_yaml_cannot_read_has_no_lines():
    assert lines_of("a: [", ["/a"]) == {}


def test_a_long_text_is_not_read_to_its_end():
    text = "- 1\n" * (MAX_EVENTS + 1)
    assert lines_of(text, ["/5", f"/{MAX_EVENTS}"]) == {"": 1, "/5": 6}
