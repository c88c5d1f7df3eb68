"""A person without a browser: keeps cookies, fills in forms, follows redirects, over real HTTP."""

import html
import http.cookiejar
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass

NO_NEWS = 204
Values = dict[str, str | list[str]]


@dataclass(frozen=True)
class Page:
    """An answer."""

    status: int
    address: str
    text: str
    headers: dict[str, str]

    def match(self, pattern: str) -> str:
        """The first group of the pattern in the text; fails if it is not there."""
        found = re.search(pattern, self.text)
        assert found, f"{pattern} is not in {self.address}:\n{self.text[:2000]}"
        return html.unescape(found[1])


class Visitor:
    """Speaks to one dokreg."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def get(self, path: str, *, htmx: bool = False) -> Page:
        return self._open(path, None, htmx=htmx)

    def post(self, path: str, /, **values: str | list[str]) -> Page:
        """Post a form; the CSRF token comes from the page that was visited last."""
        return self._post(path, values, htmx=False)

    def htmx_post(self, path: str, /, **values: str | list[str]) -> Page:
        """The same as htmx does it, which gets a part of a page."""
        return self._post(path, values, htmx=True)

    def _post(self, path: str, values: Values, *, htmx: bool) -> Page:
        return self._open(path, values | {"csrfmiddlewaretoken": self._token}, htmx=htmx)

    def sign_in(self, username: str, password: str) -> Page:
        self.get("/sign-in/")
        return self.post("/sign-in/", username=username, password=password)

    def ladder(self, path: str, seconds: float = 120) -> str:
        """The ladder of a test once it is over; its address is what the running one polls."""
        end = time.monotonic() + seconds
        page = self.get(path, htmx=True)
        while page.status == NO_NEWS or "hx-get" in page.text:
            assert time.monotonic() < end, page.text
            news = self.get(path, htmx=True)
            if news.status != NO_NEWS:
                page = news
                path = page.match(r'hx-get="([^"]+)"') if "hx-get" in page.text else path
        return page.text

    def wait_until(self, path: str, words: str, *, without: str = "", seconds: float = 90) -> Page:
        """The page once it has the words, and no longer what it is to be without."""
        end = time.monotonic() + seconds
        while words not in (page := self.get(path)).text or (without and without in page.text):
            assert time.monotonic() < end, f"{words} is not in {path}:\n{page.text}"
            time.sleep(0.2)
        return page

    def _open(self, path: str, values: Values | None, *, htmx: bool) -> Page:
        address = urllib.parse.urljoin(self.url + "/", path)
        data = None if values is None else urllib.parse.urlencode(values, doseq=True).encode()
        headers = {"Referer": self.url, "Accept-Encoding": "identity"} | ({"HX-Request": "true"} if htmx else {})
        request = urllib.request.Request(address, data=data, headers=headers)
        try:
            with self._opener.open(request, timeout=120) as answer:
                page = Page(answer.status, answer.url, answer.read().decode(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            page = Page(error.code, error.url or address, error.read().decode(), dict(error.headers))
        if found := re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text):
            self._token = found[1]
        return page

    _token = ""
