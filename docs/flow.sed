# Makes the output of mscgen fit for a README and for rustdoc: no document type, no blank lines (they
# would end the HTML block in Markdown), any sans-serif font, labels above their arrows, and a
# white background for dark themes.
/^<!DOCTYPE/d
/svg11.dtd/d
/^ *$/d
s/crispEdges/geometricPrecision/
s/ textLength="[0-9]*"//
s/font-family="Helvetica"/font-family="Helvetica, Arial, sans-serif"/
s/ width="\([0-9]*\)px" height="[0-9]*px"/ width="100%" role="img" aria-label="Sequence of an authorized MCP request" style="max-width: \1px"/
/text-anchor/!{
/<text /{
N
/signature,\|needs more/!s/<text /<text transform="translate(0,-4)" /
}
}
s/<polygon fill="white"/<polygon fill="white" transform="translate(0,-3)"/
/ stroke-width="1" text-rendering/a\
<rect width="100%" height="100%" fill="white"/>
