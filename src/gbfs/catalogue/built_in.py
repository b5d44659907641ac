"""A few systems of MobilityData's catalogue, as of July 2026, so that the first run needs no network."""

from gbfs.catalogue.systems import CatalogueSystem, read_catalogue

_ROWS = """\
Country Code,Name,Location,System ID,URL,Auto-Discovery URL,Supported Versions,Authentication Info URL,\
Authentication Type,Authentication Parameter Name
FR,V'lille,Lille,v_lille,https://www.ilevia.fr/,https://media.ilevia.fr/opendata/gbfs.json,2.3,,,
FR,Vélib' Metropole,Paris,Paris,https://www.velib-metropole.fr/,\
https://velib-metropole-opendata.smovengo.cloud/opendata/Velib_Metropole/gbfs.json,1.0,,,
CA,BIXI Montréal,Montreal,Bixi_MTL,https://www.bixi.com/,https://gbfs.velobixi.com/gbfs/2-2/gbfs.json,1.0 ; 2.2,,,
US,Citi Bike,"New York, NY",lyft_nyc,https://citibikenyc.com/,https://gbfs.citibikenyc.com/gbfs/2.3/gbfs.json,2.3,,,
US,Divvy,"Chicago, IL",lyft_chi,https://divvybikes.com/,https://gbfs.divvybikes.com/gbfs/2.3/gbfs.json,1.1 ; 2.3,,,
US,Blue Bikes,"Boston, MA",bluebikes,https://www.bluebikes.com/,https://gbfs.bluebikes.com/gbfs/gbfs.json,1.1,,,
NO,Oslo Bysykkel,Oslo,oslobysykkel,https://oslobysykkel.no/,\
https://api.entur.io/mobility/v2/gbfs/v3/oslobysykkel/gbfs,3.0,,,
DE,Call a Bike,Germany,callabike,https://www.callabike.de/,\
https://api.mobidata-bw.de/sharing/gbfs/v3/callabike/gbfs,2.3 ; 3.0,,,
"""

BUILT_IN_SYSTEMS: tuple[CatalogueSystem, ...] = read_catalogue(_ROWS).systems
# Common names, folded by gbfs.catalogue.systems.fold_text → system IDs.
ALIASES = {
    "lille": "v_lille",
    "vlille": "v_lille",
    "paris": "Paris",
    "velib": "Paris",
    "montreal": "Bixi_MTL",
    "bixi": "Bixi_MTL",
    "new york": "lyft_nyc",
    "citibike": "lyft_nyc",
    "chicago": "lyft_chi",
    "boston": "bluebikes",
    "oslo": "oslobysykkel",
}
