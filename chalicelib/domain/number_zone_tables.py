"""Corrections of phonenumbers' map of time zones (9.0.43), as tables.

The names of zones are those of tzdata 2026f. The places of Mexico, Brazil, Mongolia, Congo and British Columbia were
compared with phonenumbers' own geocoder, which names them. The other rows and the overlays come from general knowledge
of the numbering plans (NANPA, CNA, ACMA, IFT, Subtel), not from the plans' own files. Keys are E.164 digits without the
``+``. The longest prefix wins.
"""

Zones = tuple[str, ...]

_EASTERN, _CENTRAL, _MOUNTAIN = "America/New_York", "America/Chicago", "America/Denver"
_BELEM_TO_RIO, _MANAUS, _ACRE = "America/Sao_Paulo", "America/Manaus", "America/Eirunepe"
_CHIHUAHUA, _MATAMOROS, _SONORA = "America/Chihuahua", "America/Matamoros", "America/Hermosillo"
_TIJUANA, _MEXICO, _CANCUN = "America/Tijuana", "America/Mexico_City", "America/Cancun"
_WEST_AFRICA, _CENTRAL_AFRICA = "Africa/Kinshasa", "Africa/Lubumbashi"
_SANTIAGO, _AYSEN, _MAGALLANES, _EASTER = (
    "America/Santiago",
    "America/Coyhaique",
    "America/Punta_Arenas",
    "Pacific/Easter",
)
_SYDNEY, _BRISBANE, _ADELAIDE, _PERTH, _DARWIN = (
    "Australia/Sydney",
    "Australia/Brisbane",
    "Australia/Adelaide",
    "Australia/Perth",
    "Australia/Darwin",
)
_LORD_HOWE, _EUCLA = "Australia/Lord_Howe", "Australia/Eucla"
_TERRITORIES = (
    "America/Cambridge_Bay",
    "America/Edmonton",
    "America/Inuvik",
    "America/Iqaluit",
    "America/Rankin_Inlet",
    "America/Resolute",
    "America/Whitehorse",
)


def _each(prefix: str, suffixes: str, *zones: str) -> dict[str, Zones]:
    return {prefix + suffix: zones for suffix in suffixes.split()}


#: prefix -> the zones of its numbers; these replace the zones in the map
CORRECTED: dict[str, Zones] = {
    # Countries whose one zone the map has wrong
    "211": ("Africa/Juba",),  # South Sudan; not Africa/Nairobi, 1 h off since 2021
    "212": ("Africa/Casablanca", "Africa/El_Aaiun"),  # Morocco, Western Sahara; not Atlantic/Canary
    "213": ("Africa/Algiers",),  # not Europe/Paris, 1 h off in summer
    "218": ("Africa/Tripoli",),  # not Europe/Bucharest, 1 h off in summer
    "505": ("America/Managua",),  # not America/Chicago, 1 h off in summer
    "970": ("Asia/Gaza", "Asia/Hebron"),  # not Europe/Bucharest: summer time starts and ends on other days
    # Congo: the map has the west for all but Katanga
    "2434": (_CENTRAL_AFRICA,),  # Kasai
    "2435": (_WEST_AFRICA, _CENTRAL_AFRICA),  # Kisangani in the east, Mbandaka in the west
    "2436": (_CENTRAL_AFRICA,),  # Kivu, Maniema
    # Mexico: Chihuahua keeps the capital's time since 2022, municipalities at the border keep that of the US
    **_each("52", "614 621 625 627 628 629 635 636 639 648 649 652 657 659", _CHIHUAHUA),
    **_each("52", "862 867 868 873 877 878 891 894 897 899", _MATAMOROS),
    **_each("52", "622 623 631 632 633 634 637 638 641 642 643 644 645 647 651 662", _SONORA),
    "52653": (_SONORA, _TIJUANA),  # San Luis Río Colorado, and the valley of Mexicali across the river
    "52626": ("America/Ojinaga",),
    "52656": ("America/Ciudad_Juarez",),
    "52983": (_CANCUN, _MEXICO),  # Chetumal; Xpujil in Campeche
    "52997": (_CANCUN, _MEXICO),  # Yucatán, and José María Morelos in Quintana Roo
    # Brazil: the map has Manaus for Pará, Amapá and Maranhão (UTC-3), and Noronha for half of Recife
    **_each("55", "81 91 93 94 96 98 99", _BELEM_TO_RIO),
    "55819": (_BELEM_TO_RIO, "America/Noronha"),  # mobiles
    "55813619": ("America/Noronha",),
    "5597": (_MANAUS, _ACRE),
    "5597333": (_ACRE,),  # Lábrea
    "5597341": (_ACRE,),  # Tabatinga, Benjamin Constant, Atalaia do Norte
    "5597342": (_ACRE,),  # Jutaí
    "5597343": (_ACRE,),  # São Paulo de Olivença
    "5597345": (_ACRE,),  # Boca do Acre, Pauini
    "5597346": (_ACRE, _MANAUS),  # Amaturá, Santo Antônio do Içá, Tonantins
    "5597348": (_ACRE,),  # Eirunepé, Ipixuna, Envira, Itamarati, Guajará
    # Chile: fixed numbers are portable between regions, so Santiago stays
    "5661": (_SANTIAGO, _AYSEN, _MAGALLANES),
    "5667": (_SANTIAGO, _AYSEN, _MAGALLANES),
    "569": (_SANTIAGO, _AYSEN, _MAGALLANES, _EASTER),  # mobiles
    "5632210": (_EASTER,),
    "5932520": ("America/Guayaquil", "Pacific/Galapagos"),
    # Australia
    "617": (_BRISBANE,),
    "6126563": (_LORD_HOWE, _SYDNEY),
    "61265632": (_LORD_HOWE,),
    "6186": (_PERTH,),
    "6188": (_ADELAIDE,),
    "61880": ("Australia/Broken_Hill",),
    "61889": (_DARWIN,),
    "6189": (_PERTH,),
    "6189039": (_EUCLA, _PERTH),
    "6189162": ("Indian/Cocos",),
    "6189164": ("Indian/Christmas",),
    # New Zealand: 03 30 is Ashburton, too
    "64330": ("Pacific/Auckland",),
    "643305": ("Pacific/Chatham",),
    "643395": ("Pacific/Auckland",),
    "6433950": ("Pacific/Chatham",),
    # Antarctic bases share Norfolk Island's code
    "6721": ("Antarctica/Casey", "Antarctica/Davis", "Antarctica/Macquarie", "Antarctica/Mawson"),
    # Bougainville; Papua New Guinea's mobiles may be there
    "67597": ("Pacific/Bougainville",),
    "6757": ("Pacific/Bougainville", "Pacific/Port_Moresby"),
    "6758": ("Pacific/Bougainville", "Pacific/Port_Moresby"),
    # French Polynesia
    "6894091": ("Pacific/Marquesas",),
    "6894092": ("Pacific/Marquesas",),
    # Rikitea of the Gambiers, and Hao of the Tuamotus, which keep the time of Tahiti; from general knowledge
    "6894097": ("Pacific/Gambier", "Pacific/Tahiti"),
    # Russia
    "7365": ("Europe/Simferopol",),
    "7401": ("Europe/Kaliningrad",),  # not Europe/Bucharest: no summer time since 2011
    "7411": ("Asia/Srednekolymsk", "Asia/Ust-Nera", "Asia/Yakutsk"),  # Yakutia keeps three times
    "7840": ("Europe/Moscow",),  # Abkhazia
    "7844": ("Europe/Volgograd",),
    "7845": ("Europe/Saratov",),
    "7851": ("Europe/Astrakhan",),
    "7940": ("Europe/Moscow",),
    # Mongolia: Bayankhongor keeps the capital's time
    "976144": ("Asia/Ulaanbaatar",),
    "976244": ("Asia/Ulaanbaatar",),
    # North America: area codes
    "1208": ("America/Boise", "America/Los_Angeles"),
    "1605": (_CENTRAL, _MOUNTAIN),
    "1701": (_CENTRAL, _MOUNTAIN, "America/North_Dakota/Center"),
    "1867": _TERRITORIES,
    "1907": ("America/Adak", "America/Anchorage"),
    # exchanges
    "1250428": ("America/Creston",),
    "1250774": ("America/Fort_Nelson",),
    **_each("1250", "242 261 262 263 719 782 783 784 785 786 787 788 789 793 794", "America/Dawson_Creek"),
    "1418461": ("America/Blanc-Sablon",),
    "1807597": ("America/Atikokan",),
    **_each("1867", "333 334 335 390 393 399 456 536 537 633 634", "America/Whitehorse"),
    **_each("1867", "660 667 668 689 821 841 862 863 966 969 993 994 996", "America/Whitehorse"),
    **_each("1867", "222 266 439 473 897 899 924 927 928 934 939 975 979", "America/Iqaluit"),
    **_each("1867", "462 645 793 857 896 898", "America/Rankin_Inlet"),
    "1867252": ("America/Resolute",),
    "1867980": ("America/Iqaluit", "America/Resolute"),  # Grise Fiord
    **_each("1867", "360 561 769 982 983", "America/Cambridge_Bay"),
    "1867925": ("America/Atikokan",),  # Coral Harbour: no summer time
    **_each("1867", "587 669 695 765 766 767 872 873 874 875 920", "America/Edmonton"),
    **_each("1867", "678 777 952 977", "America/Inuvik"),
    "1907581": ("America/Anchorage",),  # Unalaska; not Pacific/Honolulu
    "1907592": ("America/Adak",),
    "1907839": ("America/Adak",),  # Atka
}

#: prefix -> more zones of its numbers; these are added to the zones in the map
ALSO: dict[str, Zones] = {
    "1219": (_EASTERN, _CENTRAL),  # Gary is Central, Pulaski County Eastern
    "1270": (_EASTERN, _CENTRAL),  # Bowling Green is Central, Elizabethtown Eastern
    "1308": (_CENTRAL, _MOUNTAIN),  # Grand Island is Central, Scottsbluff Mountain
    "1423": (_EASTERN, _CENTRAL),  # Chattanooga is Eastern, Marion County Central
    "1775": ("America/Boise", "America/Los_Angeles"),  # Reno is Pacific, Jackpot and West Wendover are Mountain
    "1812": (_EASTERN, _CENTRAL),  # Bloomington is Eastern, Evansville Central
    "1850": (_EASTERN, _CENTRAL),  # Tallahassee is Eastern, Pensacola Central
    "1928": ("America/Phoenix",),  # the Navajo Nation, with summer time, shares exchanges
    "614": (_DARWIN,),  # mobiles: the map has every other Australian zone
    "6185": (_DARWIN,),  # nomadic numbers of the Central and West region
    "6187": (_DARWIN,),
    "628": ("Asia/Makassar", "Asia/Jayapura"),  # Indonesian mobiles: the map has Asia/Jakarta only
}

#: (prefix, zone in the map) -> the right zone
MISPLACED: dict[tuple[str, str], str] = {
    ("1208", "America/Denver"): "America/Boise",
    ("1541", "America/Denver"): "America/Boise",
    ("1775", "America/Denver"): "America/Boise",
    ("7", "Europe/Bucharest"): "Europe/Kaliningrad",
    ("1250", "America/Denver"): "America/Edmonton",
}

#: old names in the map -> the names in zone.tab; both lie in tzdata's "backward" file
RENAMED: dict[str, str] = {
    "Africa/Asmera": "Africa/Asmara",
    "America/Buenos_Aires": "America/Argentina/Buenos_Aires",
    "America/Godthab": "America/Nuuk",
    "Asia/Calcutta": "Asia/Kolkata",
    "Asia/Choibalsan": "Asia/Ulaanbaatar",
    "Asia/Katmandu": "Asia/Kathmandu",
    "Asia/Rangoon": "Asia/Yangon",
    "Atlantic/Faeroe": "Atlantic/Faroe",
    "Pacific/Enderbury": "Pacific/Kanton",
    "Pacific/Ponape": "Pacific/Pohnpei",
    "Pacific/Truk": "Pacific/Chuuk",
}

_OVERLAYS = """
    AL 659:205 938:256 483:334
    AR 327:870
    CA 279:916 341:510 350:209 357:559 369:707 424:310 442:760 628:415 657:714 669:408 738:213,323 747:818 820:805
    CA 837:530 840:909
    CO 720:303 748:970 983:303
    CT 475:203 959:860
    DC 771:202
    FL 321:407 324:904 448:850 645:305 656:813 689:407 728:561 754:954 786:305
    GA 470:404,770 565:912 678:404,770 762:706 943:404,770
    ID 986:208
    IL 224:847 331:630 447:217 464:708 730:618 779:815 861:309 872:312,773
    IN 463:317 930:812
    KY 364:270
    LA 457:318
    MA 339:781 351:978 774:508 857:617
    MD 227:301 240:301 443:410 667:410
    MI 679:313 947:248
    MN 924:507
    MO 235:573 557:314 975:816
    MS 471:662 769:601
    NC 472:910 743:336 980:704 984:919
    NE 531:402
    NJ 551:201 640:609 848:732 862:973
    NV 725:702
    NY 329:845 332:212 347:718 363:516 624:716 646:212 680:315 838:518 917:212,718 929:718 934:631
    OH 220:740 234:330 283:513 326:937 380:614 436:440 567:419
    OK 539:918 572:405
    OR 458:541 971:503
    PA 223:717 267:215 272:570 445:215 484:610 582:814 835:610 878:412,724
    PR 939:787
    SC 821:864 839:803 854:843
    TN 629:615 729:423
    TX 281:713 346:713 430:903 469:214 621:713 682:817 726:210 737:512 832:713 945:214 972:214
    UT 385:801
    VA 571:703 686:804 826:540 948:757
    WA 564:206,253,360,425
    WI 274:920 353:608 534:715
    WV 681:304
    AB 368:403,780 587:403,780 825:403,780
    BC 236:250,604 257:250,604 672:250,604 778:250,604
    MB 431:204 584:204
    NB 428:506
    NL 879:709
    NS 782:902
    ON 226:519 249:705 289:905 343:613 365:905 382:519 437:416 548:519 647:416 683:705 742:905 753:613 942:416
    QC 263:514 273:418 354:450 367:418 438:514 468:819 579:450 581:418 873:819
    SK 474:306 639:306
    DO 829:809 849:809
    JM 658:876
"""


def _read_overlays() -> dict[str, tuple[str, ...]]:
    pairs = (pair.partition(":") for line in _OVERLAYS.split("\n") for pair in line.split()[1:])
    return {area: tuple(parents.split(",")) for area, _, parents in pairs}


#: area code of an overlay -> the older area codes of the same region; in service or announced. The list was not
#: compared with NANPA's own.
OVERLAYS: dict[str, tuple[str, ...]] = _read_overlays()
