/** Fields of the portal's appearance, for an environment and for one application. */
import { Select, TextInput } from "@mantine/core";
import { swatchOf, type ThemeField, type ThemeForm } from "./theme-form";
import classes from "./ThemeFields.module.css";

interface Props {
  theme: ThemeForm;
  onChange: (theme: ThemeForm) => void;
  /** Error of the server at a field. */
  problemOf: (field: string) => string | undefined;
  /** What an empty field means: `the environment's`. */
  usual: string;
}

const COLORS: [ThemeField, string][] = [
  ["primary_color", "Primary colour"],
  ["primary_color_light", "In light"],
  ["primary_color_dark", "In dark"],
];

const SCHEMES = [
  { value: "light", label: "Light" },
  { value: "dark", label: "Dark" },
  { value: "auto", label: "The viewer's" },
];

export function ThemeFields({ theme, onChange, problemOf, usual }: Props) {
  const set = (field: ThemeField, value: string) => onChange({ ...theme, [field]: value });
  return (
    <>
      <div className={classes.colors}>
        {COLORS.map(([field, label]) => (
          <TextInput
            key={field}
            label={label}
            placeholder="2f55e0"
            classNames={{ input: "mono" }}
            leftSection={<Swatch text={theme[field]} />}
            value={theme[field]}
            error={problemOf(field)}
            onChange={(event) => set(field, event.currentTarget.value)}
          />
        ))}
      </div>
      <p className="small ink-2">
        Six hexadecimal digits. Text in a colour is darkened or lightened until it can be read. Empty fields
        are {usual}.
      </p>
      <div className={classes.pair}>
        <Select
          label="Colour scheme"
          placeholder="Not set"
          data={SCHEMES}
          clearable
          value={theme.color_scheme || null}
          error={problemOf("color_scheme")}
          onChange={(value) => set("color_scheme", value ?? "")}
        />
        <TextInput
          label="Font"
          placeholder="Inter"
          value={theme.font_family}
          error={problemOf("font_family")}
          onChange={(event) => set("font_family", event.currentTarget.value)}
        />
      </div>
      <TextInput
        label="Icon"
        description="Address of an image, shown 24 pixels high."
        placeholder="https://app.example.com/icon.svg"
        classNames={{ input: "mono" }}
        value={theme.icon}
        error={problemOf("icon")}
        onChange={(event) => set("icon", event.currentTarget.value)}
      />
    </>
  );
}

function Swatch({ text }: { text: string }) {
  const color = swatchOf(text);
  return <span className={classes.swatch} style={color === null ? {} : { background: color }} aria-hidden />;
}
