"""The nations of the United Kingdom in which an area code is used.

The nations have different holidays; England and Wales keep the same ones. The codes come from the towns in
phonenumbers' geocoder.
"""

ENGLAND_WALES, SCOTLAND, NORTHERN_IRELAND = "uk-england-wales", "uk-scotland", "uk-northern-ireland"
EVERY_NATION = (ENGLAND_WALES, SCOTLAND, NORTHERN_IRELAND)

_SCOTTISH_TEXT = """
    1224 1236 1241 1250 1259 1261 1290 1292 1294 1301 1307 1309 131 1320 1324 1330 1333 1334 1337 1339 1340 1343
    1346 1349 1350 1355 1356 1357 1358 1360 1361 1368 1369 1381 1382 1383 1389 1397 1408 141 1431 1436 1445 1450
    1456 1463 1464 1465 1466 1467 1470 1471 1475 1478 1479 1496 1499 1501 1505 1506 1520 1528 1540 1542 1546
    1549 1555 1556 1557 1560 1561 1563 1567 1569 1571 1575 1576 1577 1578 1581 1583 1586 1592 1593 1595 1599
    1620 1631 1641 1644 1651 1655 1659 1667 1671 1674 1680 1681 1683 1687 1688 1698 1700 1721 1738 1750 1764
    1770 1771 1776 1779 1786 1796 1806 1807 1808 1809 1821 1828 1835 1838 1847 1848 1851 1852 1854 1855 1856
    1857 1859 1862 1863 1864 1866 1870 1871 1875 1876 1877 1878 1879 1880 1882 1887 1888 1896 1899 1950 1951
    1955 1957 1967 1968 1971 1972 1975 1988 1997
"""
_SCOTTISH = frozenset(_SCOTTISH_TEXT.split())
#: codes on both sides of the border: Berwick-upon-Tweed, Dumfries and Langholm, Gretna, Kelso, Coldstream
_AT_THE_BORDER = frozenset(["1289", "1387", "1461", "1573", "1890"])
#: codes of Guernsey, Jersey and the Isle of Man, which are not part of the United Kingdom
_DEPENDENCIES = frozenset(["1481", "1534", "1624"])


def nations_of(number: str) -> tuple[str, ...]:
    """Return the presets of the nations that an E.164 number can be in.

    Return all of them for a mobile, and if the nation is unknown.
    """
    national = number.removeprefix("+44")
    if national == number or national[:1] not in ("1", "2") or national[:4] in _DEPENDENCIES:
        return EVERY_NATION
    if national.startswith("28"):
        return (NORTHERN_IRELAND,)
    if national[:4] in _AT_THE_BORDER:
        return (ENGLAND_WALES, SCOTLAND)
    return (SCOTLAND,) if {national[:3], national[:4]} & _SCOTTISH else (ENGLAND_WALES,)
