"""The states of the United States in which an area code is used.

The names are those of the states' presets. The area codes come from phonenumbers' geocoder. For 203, 310, 713 and 718
they come from the geocoder's towns. For codes younger than the geocoder they come from the overlays of
``number_zone_tables.py``. A code lies in one state. A code in the lines of two states belongs to both.
"""

from functools import cache

FEDERAL = "us-federal"

_AREA_CODES = """
    alabama 205 251 256 334 483 659 938
    alaska 907
    american-samoa 684
    arizona 480 520 602 623 928
    arkansas 327 479 501 870
    california 209 213 279 310 323 341 350 357 369 408 415 424 442 510 530 559 562 619 626 628 650 657 661 669 707
    california 714 738 747 760 805 818 820 831 837 840 858 909 916 925 949 951
    colorado 303 719 720 748 970 983
    connecticut 203 475 860 959
    delaware 302
    district-of-columbia 202 771
    florida 239 305 321 324 352 386 407 448 561 645 656 689 727 728 754 772 786 813 850 863 904 941 954
    georgia 229 404 470 478 565 678 706 762 770 912 943
    guam 671
    hawaii 808
    idaho 208 986
    illinois 217 224 309 312 331 447 464 618 630 708 730 773 779 815 847 861 872
    indiana 219 260 317 463 574 765 812 930
    iowa 319 515 563 641 712
    kansas 316 620 785 913
    kentucky 270 364 502 606 859
    louisiana 225 318 337 457 504 985
    maine 207
    maryland 227 240 301 410 443 667
    massachusetts 339 351 413 508 617 774 781 857 978
    michigan 231 248 269 313 517 586 616 679 734 810 906 947 989
    minnesota 218 320 507 612 651 763 924 952
    mississippi 228 471 601 662 769
    missouri 235 314 417 557 573 636 660 816 975
    montana 406
    nebraska 308 402 531
    nevada 702 725 775
    new-hampshire 603
    new-jersey 201 551 609 640 732 848 856 862 908 973
    new-mexico 505 575
    new-york 212 315 329 332 347 363 516 518 585 607 624 631 646 680 716 718 838 845 914 917 929 934
    north-carolina 252 336 472 704 743 828 910 919 980 984
    north-dakota 701
    northern-mariana-islands 670
    ohio 216 220 234 283 326 330 380 419 436 440 513 567 614 740 937
    oklahoma 405 539 572 580 918
    oregon 458 503 541 971
    pennsylvania 215 223 267 272 412 445 484 570 582 610 717 724 814 835 878
    puerto-rico 787 939
    rhode-island 401
    south-carolina 803 821 839 843 854 864
    south-dakota 605
    tennessee 423 615 629 729 731 865 901 931
    texas 210 214 254 281 325 346 361 409 430 432 469 512 621 682 713 726 737 806 817 830 832 903 915 936 940 945
    texas 956 972 979
    utah 385 435 801
    vermont 802
    virgin-islands 340
    virginia 276 434 540 571 686 703 757 804 826 948
    washington 206 253 360 425 509 564
    west-virginia 304 681
    wisconsin 262 274 353 414 534 608 715 920
    wyoming 307
"""


@cache
def states_by_area_code() -> dict[str, tuple[str, ...]]:
    """Return the states of each area code, spelled like their presets: ``new-mexico``."""
    found: dict[str, tuple[str, ...]] = {}
    for line in _AREA_CODES.strip().split("\n"):
        state, *codes = line.split()
        found |= {code: (*found.get(code, ()), state) for code in codes}
    return found


def states_of(number: str) -> tuple[str, ...] | None:
    """Return the states in which an E.164 number was issued.

    Return None if the area code names no state: a toll-free number, or a number of Canada or of another country.
    """
    return states_by_area_code().get(number[2:5]) if number.startswith("+1") else None
