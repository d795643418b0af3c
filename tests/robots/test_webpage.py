import base64

from legged_skills.robots import webpage


def test_tables_escape_and_mark_totals() -> None:
    table = webpage.table(("a<b", "x [m]"), [("1&2", "3"), ("all", "4")], total=True)
    assert "<th>a&lt;b</th>" in table and "<td>1&amp;2</td>" in table
    assert table.count("<tr") == 3
    assert '<tr class="total"><td>all</td><td>4</td></tr>' in table


def test_films_are_within_the_page() -> None:
    film = webpage.film(b"a film", 'of "a" <b>')
    assert f'src="data:video/mp4;base64,{base64.b64encode(b"a film").decode()}"' in film
    assert 'aria-label="of &quot;a&quot; &lt;b&gt;"' in film
    assert "<figcaption>of &quot;a&quot; &lt;b&gt;</figcaption>" in film


def test_pages_escape_their_title() -> None:
    page = webpage.page("a<b", ["<p>body</p>"])
    assert page.count("a&lt;b") == 2 and "a<b" not in page
    assert page.startswith("<!DOCTYPE html>") and page.endswith("</html>\n")
